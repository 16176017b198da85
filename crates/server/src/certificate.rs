//! Until when the certificate of the HTTP interface holds, and what to do about it.

use crate::config::{HttpTls, Validity};

/// Seconds since 1970 by the wall clock, by which callers judge a certificate, too. Nothing but words depends on it.
pub(crate) fn now_s() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0)
}

/// A time as people read it: `2027-01-31T12:00:00Z`.
pub(crate) fn utc(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
    time.map_or_else(|| format!("{seconds} s after 1970"), |time| time.to_string())
}

/// Says in the log how the certificate does, if it can be told.
pub(crate) fn tell(tls: &HttpTls) {
    let Some(says) = &tls.says else { return };
    let (cert, from, until) = (tls.cert.display(), utc(says.from), utc(says.until));
    match says.validity(now_s()) {
        Validity::Holds => tracing::info!(%cert, until, "the certificate holds"),
        Validity::EndsSoon => tracing::warn!(
            %cert,
            until,
            "the certificate ends soon, and callers will refuse it: renew it, then send SIGHUP"
        ),
        Validity::Expired => tracing::error!(
            %cert,
            until,
            "the certificate has expired, and callers refuse it: renew it, then send SIGHUP"
        ),
        Validity::NotYet => tracing::error!(
            %cert,
            from,
            "the certificate does not hold yet, and callers refuse it: set this machine's clock right, \
             or that of who signed it"
        ),
    }
}
