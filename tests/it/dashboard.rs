//! The dashboard of real workers, in a real browser. No test leaves anything on its console.

mod browser;

use fantoccini::Locator;
use fantoccini::key::Key;
use serde_json::json;
use zhongkong_simulator::{AccountChange, FaultKind, Scope};
use zhongkong_testkit::cluster::TOKEN_KEY;
use zhongkong_testkit::http::Request;
use zhongkong_testkit::{APP_ID, Cluster, ClusterBuilder};

use self::browser::Browser;
use crate::setup::{cluster, ms, refresh_at, until};

const READ: &str = "a-bearer-token-to-read";
const ADMIN: &str = "a-bearer-token-for-all";
const AXE: &str = include_str!("dashboard/vendor/axe-core-4.14.1.min.js");
/// The row of the one credential.
const ROW: &str = "[data-row='0']";

/// Workers whose token falls due after every test's end.
fn at_rest(workers: usize) -> ClusterBuilder {
    cluster().workers(workers).life(ms(600_000))
}

fn with_bearer_tokens() -> ClusterBuilder {
    let token = |name: &str, scope: &str, secret: &str| {
        format!("[[http.tokens]]\nname = {name:?}\nscope = {scope:?}\nsecret = {secret:?}\n")
    };
    at_rest(1).toml(&(token("watcher", "read", READ) + &token("operator", "admin", ADMIN)))
}

fn page_of(cluster: &Cluster, worker: usize) -> String {
    format!("{}/", cluster.workers()[worker].http_url())
}

/// The page of a settled cluster's first worker, once the credential is in sight and events come.
async fn opened(cluster: &Cluster) -> Browser {
    cluster.settle().await;
    let browser = Browser::start().await;
    browser.open(&page_of(cluster, 0)).await;
    browser.shows(ROW, APP_ID).await;
    browser.shows("#liveness", "Live").await;
    browser
}

async fn generation(cluster: &Cluster) -> u64 {
    cluster.state_number("generation").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_follows_what_happens_at_another_worker() {
    let cluster = at_rest(2).start().await;
    let browser = opened(&cluster).await;
    browser.shows("[role=row] .status", "OK").await;
    browser.shows("[role=row] .life", "9\u{202f}min").await;
    browser.shows("#workers", "worker-1 answers this page").await;
    browser.shows("#workers", "worker-2").await;
    let before = generation(&cluster).await;
    assert_eq!(refresh_at(&cluster, 1, true).await.0, 200);
    browser.shows("[data-event=refreshed]", &format!("generation {}", before + 1)).await;
    browser.shows("[role=row] .generation", &(before + 1).to_string()).await;
    let (_, paused) = post(&cluster, "pause").await;
    assert_eq!(paused["kinds"][0]["status"], "paused", "{paused}");
    browser.shows("[role=row] .status", "Paused").await;
    browser.shows("[role=status]", "wx-test: Paused").await;
    browser.is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_with_tickets_shows_each_kind_and_asks_before_a_ticket_is_fetched_again() {
    let cluster = at_rest(1).tickets(&["jsapi", "wx_card"]).start().await;
    let browser = opened(&cluster).await;
    browser.click(ROW).await;
    for kind in ["access_token", "jsapi_ticket", "wx_card_ticket"] {
        browser.shows(&format!("#kind-{kind}"), kind).await;
        browser.shows(&format!("[aria-labelledby=kind-{kind}] .state"), "OK").await;
    }
    browser.shows("[aria-labelledby=kind-jsapi_ticket] .life-line", "4\u{202f}min").await;
    browser.click("[aria-labelledby=kind-jsapi_ticket] .force").await;
    browser.shows("dialog.question", "Refresh wx-test jsapi_ticket now?").await;
    browser.shows("dialog.question", "a small quota").await;
    browser.click("#yes").await;
    browser.shows("#outcome", "has no newer token").await;
    browser.is_clean().await;
}

async fn post(cluster: &Cluster, what: &str) -> (u16, serde_json::Value) {
    let path = format!("/v1/credentials/{APP_ID}/{what}");
    let answer = cluster.workers()[0].post(&path, &json!({})).await.unwrap();
    (answer.status, answer.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_buttons_do_what_they_say_and_ask_before_what_costs() {
    let cluster = at_rest(1).start().await;
    let browser = opened(&cluster).await;
    let before = generation(&cluster).await;
    browser.click(ROW).await;
    browser.click(".refresh").await;
    browser.shows("#outcome", "no refresh is owed").await;
    browser.click(".force").await;
    browser.shows("dialog.question", "Refresh wx-test now?").await;
    browser.press_key(Key::Escape).await;
    browser.until("!document.querySelector('dialog.question')").await;
    assert_eq!(generation(&cluster).await, before, "who does not say yes has said no");
    browser.click(".force").await;
    browser.click("#yes").await;
    browser.shows("#outcome", "There is a new token.").await;
    browser.shows(".detail dl", &format!("Generation\n{}", before + 1)).await;
    browser.shows(".detail [data-line=forced]", "by loopback@worker-1").await;
    browser.shows(".detail [data-line=refreshed]", "somebody asked for it").await;
    let token = format!("generation {} · valid for", before + 1);
    browser.shows(".detail [data-line=refreshed]", &token).await;

    browser.click("#pause").await;
    browser.shows("dialog.question", "Readers keep the token for 9\u{202f}min").await;
    browser.click("#yes").await;
    browser.shows(".detail .status, .detail .state", "Paused").await;
    assert_eq!(cluster.state().await["status"], "paused");
    browser.click(".refresh").await;
    browser.shows("#outcome", "Nothing was done: it is paused.").await;
    browser.shows("#pause", "Resume").await;
    browser.click("#pause").await;
    browser.shows(".detail .state", "OK").await;
    assert_eq!(cluster.state().await["status"], "ok");

    browser.click(".copy").await;
    browser.shows("#outcome", "Copied.").await;
    browser.click("#close").await;
    browser.click("#search").await;
    browser.press(&format!("{}v", char::from(Key::Control))).await;
    let pasted = browser.value("return document.getElementById('search').value").await;
    assert_eq!(pasted, "zhongkong:{wx-test}:access_token");
    browser.is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_is_there_from_before_the_page_was_opened_and_follows_what_happens() {
    let cluster = at_rest(2).start().await;
    cluster.settle().await;
    for turn in 0..30 {
        let what = if turn % 2 == 0 { "pause" } else { "resume" };
        assert_eq!(post(&cluster, what).await.0, 200);
    }
    let browser = opened(&cluster).await;
    browser.shows("#events [data-line=resumed]", "refreshes go on").await;
    browser.click("#events [data-line] button").await;
    browser.shows(".history [data-line=doubted]", "there was no state before").await;
    browser.shows(".timeline figcaption", "answered").await;
    browser.until("document.querySelectorAll('.timeline path').length > 30").await;
    browser.until("!document.querySelector('#older')").await;

    // What happens at another worker is there at once.
    assert_eq!(refresh_at(&cluster, 1, true).await.0, 200);
    browser.shows(".history [data-line=forced]", "by loopback@worker-2").await;
    browser.shows(".history [data-line=refreshed]", "somebody asked for it").await;

    // Older lines are read when they are wanted, and stay.
    for turn in 0..30 {
        let what = if turn % 2 == 0 { "pause" } else { "resume" };
        assert_eq!(post(&cluster, what).await.0, 200);
    }
    browser.open("about:blank").await;
    browser.open(&page_of(&cluster, 0)).await;
    browser.click(ROW).await;
    browser.until("document.querySelectorAll('.history [data-line]').length === 50").await;
    browser.click("#older").await;
    browser.shows("[role=status]", "older lines").await;
    browser.shows(".history [data-line=doubted]", "there was no state before").await;
    assert_eq!(post(&cluster, "pause").await.0, 200);
    browser.until("document.querySelector('.history [data-line]').dataset.line === 'paused'").await;
    browser.shows(".history [data-line=doubted]", "there was no state before").await;
    browser.until("!document.querySelector('#older')").await;
    browser.is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_sees_what_the_scope_allows_and_the_tab_takes_the_token_with_it() {
    let cluster = with_bearer_tokens().start().await;
    cluster.settle().await;
    let browser = Browser::start().await;
    let page = page_of(&cluster, 0);
    browser.open(&page).await;
    browser.shows("#reason", "asks for a bearer token").await;
    sign_in(&browser, "a-bearer-token-that-is-unknown").await;
    browser.shows("#reason", "does not know this bearer token").await;
    assert_eq!(browser.value("return sessionStorage.length").await, 0);

    sign_in(&browser, READ).await;
    browser.click(ROW).await;
    let key = format!("document.querySelector('.key input')?.value === {TOKEN_KEY:?}");
    browser.until(&key).await;
    browser.until("document.querySelector('.copy') && !document.querySelector('#pause, .refresh, .force')").await;
    browser.click("#close").await;
    browser.shows(".banner", "may look, but not refresh").await;
    browser.click("#sign-out").await;

    browser.shows("#reason", "signed out").await;
    assert!(!browser.holds("document.body.innerText.includes('wx-test')").await);
    sign_in(&browser, ADMIN).await;
    browser.click(ROW).await;
    browser.until("document.querySelector('#pause') && document.querySelector('.force')").await;
    // A reload is the same tab.
    browser.open(&page).await;
    browser.shows(ROW, APP_ID).await;
    let kept = "return [localStorage, document.cookie, location.href, performance.getEntries().map((e) => e.name)].map((e) => JSON.stringify(e)).join()";
    let kept = browser.value(kept).await;
    assert!(!kept.as_str().unwrap().contains(ADMIN), "{kept}");

    let first = browser.client().window().await.unwrap();
    let other = browser.client().new_window(true).await.unwrap();
    browser.client().switch_to_window(other.handle).await.unwrap();
    browser.open(&page).await;
    browser.shows("#reason", "asks for a bearer token").await;
    browser.client().close_window().await.unwrap();
    browser.client().switch_to_window(first).await.unwrap();
    browser.shows(ROW, APP_ID).await;

    // Browsers trust a page at another name less: it may not use the clipboard as it likes.
    browser.open(&page.replace("127.0.0.1", "zhongkong.example")).await;
    sign_in(&browser, ADMIN).await;
    browser.click(ROW).await;
    browser.click(".copy").await;
    browser.shows("#outcome", "Copied.").await;
    assert!(!browser.holds("isSecureContext").await);
    browser.is_clean_but_for(&["401"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_behind_too_many_wrong_tokens_is_told_to_wait_and_a_right_one_is_taken() {
    let cluster = with_bearer_tokens().start().await;
    cluster.settle().await;
    let browser = Browser::start().await;
    browser.open(&page_of(&cluster, 0)).await;
    let url = format!("{}/v1/worker", cluster.workers()[0].http_url());
    let somebody_guesses = async {
        loop {
            let guess = Request::new("GET", &url).header("Authorization", "Bearer a-guess");
            guess.send().await.unwrap();
        }
    };
    let somebody_mistypes = async {
        // Until then one more might be looked at.
        until(&cluster, "the limit is reached", async || {
            cluster.output().contains("many calls from this address have a wrong bearer token")
        })
        .await;
        sign_in(&browser, "a-bearer-token-that-is-unknown").await;
        browser.shows("#reason", "Wait a minute").await;
        sign_in(&browser, ADMIN).await;
        browser.shows(ROW, APP_ID).await;
    };
    tokio::select! {
        () = somebody_guesses => unreachable!(),
        () = somebody_mistypes => {}
    }
    browser.is_clean_but_for(&["401", "429"]).await;
}

async fn sign_in(browser: &Browser, token: &str) {
    browser.until("document.activeElement?.id === 'bearer'").await;
    browser.press(token).await;
    browser.press_key(Key::Enter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_awaits_its_administrator_says_what_to_do_until_he_has_confirmed() {
    let mut cluster = at_rest(1).own_callers().prepare().await;
    let risky = AccountChange { risk: Some(true), ..AccountChange::default() };
    cluster.simulator.change_account(APP_ID, risky).unwrap();
    cluster.start_worker(1).wait_ready().await;
    let browser = Browser::speaking("zh-CN,zh").await;
    browser.open(&page_of(&cluster, 0)).await;
    browser.shows("[role=row] .status", "等待管理员确认").await;
    browser.click(ROW).await;
    browser.shows(".todo", "请管理员在微信中确认模板消息").await;
    browser.shows(".refusals", "只影响 worker-1").await;
    browser.click("#close").await;
    browser.click("[data-filter=person]").await;
    browser.shows(ROW, APP_ID).await;
    browser
        .client()
        .find(Locator::Css("#language"))
        .await
        .unwrap()
        .select_by_value("en")
        .await
        .unwrap();
    browser.click(ROW).await;
    browser.shows(".todo", "sk the administrator to confirm").await;
    browser.shows(".said", "code 8950").await;
    browser.shows(".state", "Awaiting administrator").await;
    assert_eq!(browser.client().title().await.unwrap(), "(1) zhongkong");
    cluster.simulator.confirm(APP_ID, cluster.caller_of(1)).unwrap();
    browser.shows(".state", "OK").await;
    browser.until("document.title === 'zhongkong'").await;
    browser.is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_upstream_says_is_text_and_never_markup() {
    let mut cluster = at_rest(1).prepare().await;
    let errmsg = Some("<img src=/x onerror=\"document.title='taken'\"><b>bold</b>".to_owned());
    let fault = FaultKind::Errcode { errcode: 48_001, errmsg };
    cluster.simulator.set_fault(fault, Scope::account(APP_ID));
    cluster.start_worker(1).wait_ready().await;
    let browser = Browser::start().await;
    browser.open(&page_of(&cluster, 0)).await;
    browser.click(ROW).await;
    browser.shows(".said", "<img src=/x onerror=").await;
    browser.shows("#events", "<b>bold</b>").await;
    browser
        .until("!document.querySelector('#app img, #app b') && document.title !== 'taken'")
        .await;
    browser.is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_when_the_worker_lost_redis_and_when_it_lost_the_worker() {
    let mut cluster = at_rest(1).start().await;
    let browser = opened(&cluster).await;
    cluster.redis.kill().await;
    browser.shows(".banner", "Redis does not answer this worker, or refuses, since").await;
    browser.shows(ROW, APP_ID).await;
    cluster.redis.restart().await;
    browser.until("!document.querySelector('.banner')").await;
    cluster.worker(1).kill9().await;
    browser.shows(".banner", "The worker does not answer since").await;
    browser.shows("#liveness", "Not live").await;
    cluster.worker(1).restart();
    browser.until("!document.querySelector('.banner')").await;
    browser.shows("#liveness", "Live").await;
    browser.is_clean_but_for(&["net::ERR_"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_credentials_are_found_and_only_those_in_sight_are_drawn() {
    const MORE: usize = 10_000;
    let cluster = at_rest(1).start().await;
    cluster.settle().await;
    // Each is as well off as the first, so that nobody has to be asked for ten thousand tokens.
    let copy = "for i = ARGV[1], ARGV[2] do for _, key in ipairs(KEYS) do \
                redis.call('COPY', key, (key:gsub('wx%-test', string.format('wx-%05d', i)))) end end";
    let state = format!("{TOKEN_KEY}:state");
    for first in (1..=MORE).step_by(500) {
        let (first, last) = (first.to_string(), (first + 499).to_string());
        let words = ["EVAL", copy, "2", TOKEN_KEY, &state, &first, &last];
        let () = cluster.redis.command(&words).await;
    }
    let worker = &cluster.workers()[0];
    let mut configuration = std::fs::read_to_string(worker.config_path()).unwrap();
    let (_, first) = configuration.rsplit_once("[[credentials]]").unwrap();
    let first = first.to_owned();
    for i in 1..=MORE {
        configuration.push_str("[[credentials]]");
        configuration.push_str(&first.replace(APP_ID, &format!("wx-{i:05}")));
    }
    std::fs::write(worker.config_path(), configuration).unwrap();
    worker.reload();
    until(&cluster, "the last of them is known", async || {
        let last = worker.get(&format!("/v1/credentials/wx-{MORE:05}")).await.unwrap();
        last.json()["kinds"][0]["valid"] == true
    })
    .await;

    let browser = Browser::start().await;
    browser.open(&page_of(&cluster, 0)).await;
    browser.shows("#found", "10001 credentials").await;
    browser.until("document.querySelectorAll('[role=row]').length < 60").await;
    browser.click("[role=row] button").await;
    browser.until("document.querySelector('dialog.detail')").await;
    browser.press_key(Key::Escape).await;
    browser.until("!document.querySelector('dialog') && document.activeElement.dataset.row").await;
    browser.press_key(Key::End).await;
    browser.until("document.activeElement?.dataset.row === '10000'").await;
    browser.until("document.activeElement.getBoundingClientRect().bottom <= innerHeight").await;
    browser.until("document.querySelectorAll('[role=row]').length < 60").await;
    browser
        .until("document.querySelector('[role=columnheader]').getBoundingClientRect().top >= 0")
        .await;
    browser.press("/").await;
    browser.press("wx-09876").await;
    browser.shows("#found", "1 of 10001 credentials").await;
    browser.shows(ROW, "wx-09876").await;
    browser.press_key(Key::Escape).await;
    browser.shows("#found", "10001 credentials").await;
    browser.is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_reached_by_keys_alone() {
    let cluster = at_rest(1).start().await;
    let browser = opened(&cluster).await;
    browser.press("/").await;
    browser.until("document.activeElement.id === 'search'").await;
    browser.press("nobody").await;
    browser.shows(".nothing", "No credential fits.").await;
    browser.press_key(Key::Escape).await;
    browser.shows(ROW, APP_ID).await;
    // Whatever has the focus shows it.
    let shows_focus = "document.activeElement.matches(':focus-visible') && getComputedStyle(document.activeElement).outlineStyle !== 'none'";
    for _ in 0..20 {
        if browser.holds("document.activeElement.dataset.row === '0'").await {
            break;
        }
        browser.press_key(Key::Tab).await;
        assert!(browser.holds(shows_focus).await);
    }
    browser.press_key(Key::Enter).await;
    browser
        .until("document.querySelector('dialog.detail')?.contains(document.activeElement)")
        .await;
    for _ in 0..20 {
        if browser.holds("document.activeElement.matches('.force')").await {
            break;
        }
        browser.press_key(Key::Tab).await;
    }
    let before = generation(&cluster).await;
    browser.press_key(Key::Enter).await;
    browser.until("document.activeElement.closest('dialog.question')").await;
    browser.press_key(Key::Tab).await;
    browser.press_key(Key::Enter).await;
    browser.shows("#outcome", "There is a new token.").await;
    assert_eq!(generation(&cluster).await, before + 1);
    browser.until("document.activeElement.matches('.force')").await;
    browser.press_key(Key::Escape).await;
    browser
        .until("!document.querySelector('dialog') && document.activeElement.dataset.row === '0'")
        .await;
    browser.is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_rule_of_accessibility_is_broken_and_nothing_is_wider_than_a_telephone() {
    let mut cluster = with_bearer_tokens().prepare().await;
    let risky = AccountChange { risk: Some(true), ..AccountChange::default() };
    cluster.simulator.change_account(APP_ID, risky).unwrap();
    cluster.start_worker(1).wait_ready().await;
    let browser = Browser::start().await;
    browser.open(&page_of(&cluster, 0)).await;
    browser.shows("#reason", "asks for a bearer token").await;
    is_accessible(&browser).await;
    sign_in(&browser, ADMIN).await;
    browser.shows("[role=row] .status", "Awaiting administrator").await;
    browser.shows("#events", "the upstream refused").await;
    is_accessible(&browser).await;
    browser.click(ROW).await;
    browser.shows(".todo", "sk the administrator").await;
    is_accessible(&browser).await;
    browser.be_narrow(360).await;
    fits(&browser).await;
    browser.click("#close").await;
    fits(&browser).await;
    is_accessible(&browser).await;
    browser.is_clean_but_for(&["401"]).await;
}

async fn fits(browser: &Browser) {
    browser.until("innerWidth === 360 && document.documentElement.scrollWidth <= 360").await;
}

/// By axe-core's rules of WCAG 2.1, A and AA, in light and in dark.
async fn is_accessible(browser: &Browser) {
    for scheme in ["light", "dark"] {
        browser.prefer(scheme).await;
        browser.until(&format!("matchMedia('(prefers-color-scheme: {scheme})').matches")).await;
        let ask = "const done = arguments[0]; \
                   axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }) \
                   .then(({ violations }) => done(violations.map(({ id, nodes }) => \
                   [id, ...nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`)])))";
        let script = format!("{AXE};{ask}");
        let violations = browser.client().execute_async(&script, Vec::new()).await.unwrap();
        assert_eq!(violations, json!([]), "{scheme}: {violations:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_languages_say_the_same_things_and_the_switches_are_remembered() {
    let cluster = at_rest(1).start().await;
    cluster.settle().await;
    let browser = Browser::speaking("zh-TW,zh,en").await;
    browser.open(&page_of(&cluster, 0)).await;
    browser.shows("#credentials", "账号").await;
    browser.until("document.documentElement.lang === 'zh-CN'").await;
    let names = "const done = arguments[0]; \
        const base = document.querySelector('script[src]').src.replace('main.js', ''); \
        const names = (words, at) => typeof words === 'object' && !Array.isArray(words) \
            ? Object.entries(words).flatMap(([name, word]) => names(word, `${at}.${name}`)) : [`${at} ${typeof words}`]; \
        import(base + 'words.js').then(async (words) => { \
            const chinese = names(words.w, '').sort(); words.speak('en'); \
            const english = names(words.w, '').sort(); \
            done([chinese.length, chinese.filter((n) => !english.includes(n)), english.filter((n) => !chinese.includes(n))]); })";
    let names = browser.client().execute_async(names, Vec::new()).await.unwrap();
    assert!(names[0].as_u64().unwrap() > 100, "{names}");
    assert_eq!((&names[1], &names[2]), (&json!([]), &json!([])));

    browser
        .client()
        .find(Locator::Css("#theme"))
        .await
        .unwrap()
        .select_by_value("dark")
        .await
        .unwrap();
    browser.open(&page_of(&cluster, 0)).await;
    browser.shows("#credentials", "Credentials").await;
    let dark = "getComputedStyle(document.body).backgroundColor === 'rgb(20, 24, 27)'";
    browser.until(dark).await;
    browser.is_clean().await;
}
