//! What a service manager is told, where one asks for it (`Type=notify` of systemd): that the worker runs, that it reads
//! its configuration again, that it stops. Without `NOTIFY_SOCKET` nobody is told anything.

use sd_notify::NotifyState;

/// The worker serves. Redis has no say in it: a worker without Redis waits for it, and starting it again mends nothing.
pub(crate) fn ready(credentials: usize) {
    let status = format!("runs; credentials: {credentials}");
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// The configuration is being read again; it ends with [`reloaded`].
pub(crate) fn reloading() {
    // A manager that waits for the end of a reload tells by the time which one it hears of.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager was not told of the reload"),
    }
}

/// It was read: the number of credentials in force, or none if it was refused and the old ones stay.
pub(crate) fn reloaded(credentials: Option<usize>) {
    match credentials {
        Some(credentials) => ready(credentials),
        None => tell(&[
            NotifyState::Ready,
            NotifyState::Status(
                "runs with the old configuration: the new one was refused, see the log",
            ),
        ]),
    }
}

/// What is under way is being finished.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping: finishing what is under way")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager was not told");
    }
}
