//! Keys and bytes of every family, against what was seen with the clients: app id `wxAPPID`, secret `SECRET`.

use std::collections::BTreeSet;

use zhongkong_core::credential::Kind;
use zhongkong_core::publication::Value;
use zhongkong_core::token::Token;

use super::{CUSTOM, FAMILIES, Family, Verified};
use crate::account::Account;
use crate::layout::Layout;
use crate::options::{Codec, Format, Options, Refused, Setting};

const END_MS: u64 = 1_795_380_778_000;

fn options(set: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::default();
    set(&mut options);
    options
}

fn secret() -> Options {
    options(|options| options.sdk_secret = Some("SECRET".into()))
}

fn layout(name: &str, kind: Kind, options: &Options) -> Layout {
    let family = Family::named(name).unwrap_or_else(|| panic!("no {name}"));
    let app_id = if name.contains("work") || name.ends_with("cp") { "corp" } else { "wxAPPID" };
    Layout::new(family, &Account { app_id, kind }, options).unwrap()
}

/// The keys of `name`, and the text at the first.
#[track_caller]
fn check(name: &str, kind: Kind, options: &Options, keys: &[&str], text: &str) {
    let layout = layout(name, kind, options);
    let names: Vec<&str> = layout.keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names, keys, "{name}");
    let token = Token::new("TOK".to_owned()).unwrap();
    let entries = layout.entries(&token, END_MS);
    let values: Vec<Value> = entries.into_iter().map(|entry| entry.value).collect();
    let found = match values.first() {
        Some(Value::Text(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Some(Value::Fields(fields)) => {
            let field = |(name, bytes): &(String, Vec<u8>)| {
                format!("{name}={} ", String::from_utf8_lossy(bytes))
            };
            fields.iter().map(field).collect::<Vec<_>>().concat()
        }
        None => String::new(),
    };
    assert_eq!(found, text, "{name}");
    if let Some(value) = values.first() {
        assert_eq!(layout.token(value), Some(token), "{name}");
    }
}

#[test]
fn every_access_token_is_where_the_client_looks_for_it() {
    let none = Options::default();
    let row = |name, options: &Options, key, text| {
        check(name, Kind::AccessToken, options, &[key], text);
    };
    row("silenceper", &none, "gowechat_officialaccount__access_token_wxAPPID", "TOK");
    row("silenceper-mini", &none, "gowechat_miniprogram__access_token_wxAPPID", "TOK");
    row("silenceper-stable", &none, "gowechat_officialaccount__stable_access_token_wxAPPID", "TOK");
    row(
        "silenceper-mini-stable",
        &none,
        "gowechat_miniprogram__stable_access_token_wxAPPID",
        "TOK",
    );
    row("silenceper-work", &none, "gowechat_work__access_token_corp", "TOK");
    let agent = options(|options| options.agent_id = Some("7".to_owned()));
    row("silenceper-work", &agent, "gowechat_work__access_token_corp_7", "TOK");

    let json = r#"{"access_token":"TOK","expires_in":7200}"#;
    let key = "powerwechat.access_token.9c926a99b643326982a2166f216ad5f7";
    row("powerwechat", &secret(), key, json);

    row("wxjava-mp", &none, "wx:access_token:wxAPPID", "TOK");
    let multi = options(|options| options.prefix = Some("wx:mp:multi".to_owned()));
    row("wxjava-mp", &multi, "wx:mp:multi:access_token:wxAPPID", "TOK");
    let kryo = options(|options| options.codec = Some(Codec::Kryo5));
    row("wxjava-mp", &kryo, "wx:access_token:wxAPPID", "\u{3}\u{fffd}TOK");
    row("wxjava-ma", &none, "wa:access_token:wxAPPID", "TOK");
    let string = options(|options| options.codec = Some(Codec::String));
    row("wxjava-ma-redisson", &string, "wa:wechat_ma_access_token_key:wxAPPID", "TOK");
    let bare = options(|options| {
        options.prefix = Some(String::new());
        options.codec = Some(Codec::String);
    });
    row("wxjava-ma-redisson", &bare, "wechat_ma_access_token_key:wxAPPID", "TOK");
    row("wxjava-ma-redisson", &none, "wa:wechat_ma_access_token_key:wxAPPID", "\u{3}\u{fffd}TOK");
    let hash = "value=TOK expire=1795381078000 ";
    row("wxjava-ma-legacy", &none, "maConfig:accessToken", hash);
    let ma = options(|options| options.ma_id = Some("shop".to_owned()));
    row("wxjava-ma-legacy", &ma, "maConfig:shop:accessToken", hash);
    row("wxjava-cp", &none, "wx:cp:wechat_cp_access_token_key:corp", "TOK");
    row("wxjava-cp", &agent, "wx:cp:wechat_cp_access_token_key:corp:7", "TOK");
    row("wxjava-open", &none, "wx:open:wechat_component_access_token:wxAPPID", "TOK");
    row("wxjava-channel", &none, "wh:access_token:wxAPPID", "TOK");

    let php = "s:3:\"TOK\";";
    row("easywechat", &secret(), "official_account.access_token.wxAPPID.SECRET.0", php);
    let laravel = options(|options| {
        options.sdk_secret = Some("dummy".into());
        options.prefix = Some("laravel_database_laravel_cache_".to_owned());
        options.stable = Some(true);
    });
    let key = "laravel_database_laravel_cache_official_account.access_token.wxAPPID.dummy.1";
    row("easywechat", &laravel, key, php);
    let symfony = options(|options| {
        options.sdk_secret = Some("dummy".into());
        options.namespace = Some("shop".to_owned());
    });
    row("easywechat-mini", &symfony, "shop:mini_app.access_token.wxAPPID.dummy.0", php);
    row("easywechat-work", &secret(), "work.access_token.corp.SECRET", php);
    let array = "a:2:{s:12:\"access_token\";s:3:\"TOK\";s:10:\"expires_in\";i:7200;}";
    let key = "easywechat.kernel.access_token.bbe7d4ed3b12de413480114406124f5e";
    row("easywechat-5", &secret(), key, array);
    let key = "easywechat.kernel.access_token.f8ba43d80f654929a43832ab96b903c6";
    row("easywechat-5-work", &secret(), key, array);

    row("node-easywechat", &secret(), "official_account.access_token.wxAPPID.SECRET.0", "TOK");
    row("node-easywechat-mini", &secret(), "mini_app.access_token.wxAPPID.SECRET.0", "TOK");
    let until = r#"{"access_token":"TOK","expires_in":1795381078}"#;
    row("nest-wechat", &none, "nest-wechat:key_access_token_wxAPPID", until);
    let own = options(|options| options.key = Some("wx:accessToken:{app_id}".to_owned()));
    let until = r#"{"accessToken":"TOK","expireTime":1795381078000}"#;
    row("co-wechat-api", &own, "wx:accessToken:wxAPPID", until);
    row("goclub", &none, "wx_api_center_control:access_token:appid:wxAPPID", "TOK");

    let bag = r#"{"Key":"wxAPPID","AppId":"wxAPPID","AppSecret":"","AccessTokenExpireTime":"2026-11-22T20:57:58+00:00","AccessTokenResult":{"errcode":0,"errmsg":"ok","access_token":"TOK","expires_in":7200}}"#;
    let key = "Senparc:DefaultCache:Container:Senparc.Weixin.MP.Containers.AccessTokenBag:wxAPPID";
    row("senparc", &none, key, bag);
    let key =
        "Senparc:DefaultCache:Container:Senparc.Weixin.WxOpen.Containers.AccessTokenBag:wxAPPID";
    let bag = bag.replace("\"App", "\"WxOpenApp");
    row("senparc-mini", &none, key, &bag);
}

#[test]
fn companions_stand_beside_the_token_and_after_it() {
    let none = Options::default();
    let keys = ["wechatpy:wxAPPID_access_token", "wechatpy:wxAPPID_access_token_expires_at"];
    check("wechatpy", Kind::AccessToken, &none, &keys, "\"TOK\"");
    let shop = options(|options| options.prefix = Some("shop".to_owned()));
    let keys = ["shop:wxAPPID_access_token", "shop:wxAPPID_access_token_expires_at"];
    check("wechatpy", Kind::AccessToken, &shop, &keys, "\"TOK\"");
    let long = options(|options| options.sdk_secret = Some("0123456789abcdef".into()));
    let keys = ["wechatpy:corp_0123456789_access_token", "wechatpy:corp_access_token_expires_at"];
    check("wechatpy-work", Kind::AccessToken, &long, &keys, "\"TOK\"");
    let keys = ["wxAPPID_access_token", "wxAPPID_expires_at"];
    check("labrador", Kind::AccessToken, &none, &keys, "\u{4}\0\0\0\u{3}\0\0\0\0\0\0\0TOK");
    let token = Token::new("TOK".to_owned()).unwrap();
    let entries = layout("wechatpy", Kind::AccessToken, &none).entries(&token, END_MS);
    // Its margin, and five minutes by which a service's clock may be ahead.
    assert_eq!(entries[1].value, Value::Text(b"1795381138".to_vec()));
}

#[test]
fn every_ticket_is_where_the_client_looks_for_it() {
    let none = Options::default();
    let row = |name, kind, options: &Options, key, text| check(name, kind, options, &[key], text);
    let [jsapi, card] = [Kind::JsapiTicket, Kind::WxCardTicket];
    row("silenceper", jsapi, &none, "gowechat_officialaccount__jsapi_ticket_wxAPPID", "TOK");
    let json = r#"{"ticket":"TOK","expires_in":7200}"#;
    let key = "powerwechat.basic_service.jssdk.ticket.jsapi.wxAPPID";
    row("powerwechat", jsapi, &secret(), key, json);
    let key = "powerwechat.basic_service.jssdk.ticket.wx_card.wxAPPID";
    row("powerwechat", card, &secret(), key, json);
    row("wxjava-mp", jsapi, &none, "wx:ticket:key:wxAPPID:jsapi", "TOK");
    row("wxjava-mp", card, &none, "wx:ticket:key:wxAPPID:wx_card", "TOK");
    row("wxjava-ma", jsapi, &none, "wa:ticket:key:wxAPPID:jsapi", "TOK");
    let string = options(|options| options.codec = Some(Codec::String));
    row("wxjava-ma-redisson", jsapi, &string, "wa:wechat_ma_jsapi_ticket_key:wxAPPID", "TOK");
    row("wxjava-ma-redisson", card, &string, "wa:wechat_ma_card_api_ticket_key:wxAPPID", "TOK");
    row(
        "wxjava-ma-legacy",
        jsapi,
        &none,
        "maConfig:jsapiTicket",
        "value=TOK expire=1795381078000 ",
    );
    row("wxjava-cp", jsapi, &none, "wx:cp:wechat_cp_jsapi_ticket_key:corp", "TOK");
    row("easywechat", jsapi, &secret(), "official_account.jsapi_ticket.wxAPPID", "s:3:\"TOK\";");
    let array = "a:2:{s:6:\"ticket\";s:3:\"TOK\";s:10:\"expires_in\";i:7200;}";
    let key = "easywechat.basic_service.jssdk.ticket.wx_card.wxAPPID";
    row("easywechat-5", card, &secret(), key, array);
    row("node-easywechat", jsapi, &secret(), "official_account.jsapi_ticket.wxAPPID", "TOK");
    let key = "nest-wechat:key_ticket_wxAPPID";
    row("nest-wechat", jsapi, &none, key, r#"{"ticket":"TOK","expires_in":1795381078}"#);
    let own = options(|options| options.key = Some("wx:{kind}:{app_id}".to_owned()));
    let until = r#"{"ticket":"TOK","expireTime":1795381078000}"#;
    row("co-wechat-api", card, &own, "wx:wx_card_ticket:wxAPPID", until);
    let key = "wx_api_center_control:ticket:appid:wxAPPID:jsapi";
    row("goclub", jsapi, &none, key, "TOK");
    let both =
        ["wechatpy:wxAPPID_jsapi_card_ticket", "wechatpy:wxAPPID_jsapi_card_ticket_expires_at"];
    check("wechatpy", card, &none, &both, "\"TOK\"");
    let both = ["wxAPPID_jsapi_ticket", "wxAPPID_jsapi_ticket_expires_at"];
    check("labrador", jsapi, &none, &both, "\u{4}\0\0\0\u{3}\0\0\0\0\0\0\0TOK");
    check("silenceper-mini", jsapi, &none, &[], "");
}

#[test]
fn a_key_of_ones_own_is_the_access_tokens_unless_it_names_the_kind() {
    let account = |kind| Account { app_id: "wx1", kind };
    let own = |key: &str, encoding| {
        options(|options| {
            options.key = Some(key.to_owned());
            options.encoding = encoding;
        })
    };
    let plain = own("my:{app_id}", None);
    let layout = Layout::new(&CUSTOM, &account(Kind::AccessToken), &plain).unwrap();
    assert_eq!(layout.keys[0].name, "my:wx1");
    assert_eq!(layout.keys[0].tracked(), "my:wx1", "others may have much else under my:");
    let ticket = Layout::new(&CUSTOM, &account(Kind::JsapiTicket), &plain).unwrap();
    assert!(ticket.keys.is_empty());
    let both = own("{{app_id}}:{kind}", Some(Format::Php));
    let ticket = Layout::new(&CUSTOM, &account(Kind::JsapiTicket), &both).unwrap();
    assert_eq!(ticket.keys[0].name, "{wx1}:jsapi_ticket");
    let token = Token::new("T".to_owned()).unwrap();
    assert_eq!(ticket.entries(&token, END_MS)[0].value, Value::Text(b"s:1:\"T\";".to_vec()));
}

#[test]
fn options_that_make_no_layout_are_refused_with_what_to_do() {
    let refused = |name: &str, options: &Options| {
        let account = Account { app_id: "wx1", kind: Kind::AccessToken };
        Layout::new(Family::named(name).unwrap(), &account, options).unwrap_err()
    };
    let needs = refused("easywechat", &Options::default()).to_string();
    assert!(needs.contains("needs `sdk_secret`") && needs.contains("\"dummy\""), "{needs}");
    let codec = options(|options| options.codec = Some(Codec::Kryo5));
    let has_no = refused("wechatpy", &codec).to_string();
    assert_eq!(has_no, "the layout wechatpy has no `codec` (it has: prefix)");
    let spaced = options(|options| options.prefix = Some("a b".to_owned()));
    assert_eq!(refused("wechatpy", &spaced), Refused::Text { setting: Setting::Prefix });
    let slash = options(|options| options.sdk_secret = Some("a/b".into()));
    let slash = refused("powerwechat", &slash);
    assert_eq!(slash, Refused::Secret);
    assert!(!slash.to_string().contains("a/b"));
}

#[test]
fn every_family_is_told_apart_and_says_how_it_was_verified() {
    let names: BTreeSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(names.len(), FAMILIES.len());
    for family in FAMILIES {
        assert!(!family.sdk.is_empty() && !family.versions.is_empty(), "{family:?}");
        assert!(!family.line.is_empty() && family.verified != Verified::Own, "{family:?}");
        let options = options(|options| {
            options.sdk_secret = family.needs.contains(&Setting::SdkSecret).then(|| "dummy".into());
            options.key = family.needs.contains(&Setting::Key).then(|| "k:{app_id}".to_owned());
        });
        let layout = layout(family.name, Kind::AccessToken, &options);
        assert!(!layout.keys.is_empty() && !layout.keys[0].encoding.is_companion());
        assert!(layout.keys.iter().skip(1).all(|key| key.encoding.is_companion()));
        let shows = layout.keys.iter().any(|key| key.name.contains("dummy"));
        assert_eq!(shows, family.shows_secret, "{family:?}");
        let line = layout.line(&options);
        let left = ["{app_id}", "{secret}", "{prefix}", "{namespace}", "{stable}", "{agent_id}"];
        assert!(left.iter().all(|left| !line.contains(left)), "{line}");
    }
}
