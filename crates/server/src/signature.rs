//! The signature with which a web page in WeChat configures its JS-SDK.
//!
//! The platform's documentation of the JS-SDK has the rule: four fields in the order of their names, `name=value` joined by
//! `&`, every value as it is, SHA-1 in lower-case hex. The field is called `noncestr` here, and `nonceStr` in `wx.config`.

use sha1::{Digest, Sha1};

/// Signs a page's address, which must have no fragment, with the account's `jsapi_ticket`.
pub(crate) fn of_page(ticket: &str, nonce: &str, timestamp: u64, url: &str) -> String {
    let signed = format!("jsapi_ticket={ticket}&noncestr={nonce}&timestamp={timestamp}&url={url}");
    hex::encode(Sha1::digest(signed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documentation's own example, and the same page without its query.
    #[test]
    fn the_signature_is_the_documented_one() {
        let ticket = "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg";
        let signature = |url| of_page(ticket, "Wm3WZYTPz0wzccnW", 1_414_587_457, url);
        assert_eq!(
            signature("http://mp.weixin.qq.com?params=value"),
            "0f9de62fce790f9a083d5c99e95740ceb90c27ed"
        );
        assert_eq!(
            signature("http://mp.weixin.qq.com"),
            "f4d90daf4b3bca3078ab155816175ba34c443a7b"
        );
    }
}
