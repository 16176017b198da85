//! A real Chromium with an empty profile of its own, driven through chromedriver.

use std::time::Duration;

use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Child;
use url::{ParseError, Url};
use zhongkong_testkit::ports::free_port;
use zhongkong_testkit::process::command;
use zhongkong_testkit::{PATIENCE, wait_until};

/// The longest that one command may take: a page of ten thousand rows on a loaded machine.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// A browser; it ends with its test, however that ends.
#[derive(Debug)]
pub(crate) struct Browser {
    client: Client,
    _driver: Child,
    _profile: TempDir,
}

/// A command of chromedriver's own.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    /// An English one.
    pub(crate) async fn start() -> Self {
        Self::speaking("en-US").await
    }

    /// One whose user prefers `language`.
    pub(crate) async fn speaking(language: &str) -> Self {
        let port = free_port();
        let profile = tempfile::tempdir().unwrap();
        let driver = command("chromedriver")
            .arg(format!("--port={port}"))
            .env("TMPDIR", profile.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
        let driver = driver
            .unwrap_or_else(|error| panic!("chromedriver, which `make test` installs: {error}"));
        let listens = async || TcpStream::connect(format!("127.0.0.1:{port}")).await.is_ok();
        wait_until("chromedriver listens", PATIENCE, listens).await;
        let options = json!({
            "args": [
                "--headless=new",
                // Tests may run as root, and in containers.
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--disable-gpu",
                // With its driver the browser loses this pipe, and ends.
                "--remote-debugging-pipe",
                "--window-size=1400,900",
                // A name that is no loopback name.
                "--host-resolver-rules=MAP zhongkong.example 127.0.0.1",
                format!("--user-data-dir={}", profile.path().display()),
            ],
            "prefs": { "intl.accept_languages": language, "intl.selected_languages": language },
        });
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("it is an object") };
        let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        Self { client, _driver: driver, _profile: profile }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// What `script`, the body of a function, returns.
    pub(crate) async fn value(&self, script: &str) -> Value {
        let value = tokio::time::timeout(COMMAND_TIMEOUT, self.client.execute(script, Vec::new()));
        value.await.unwrap().unwrap()
    }

    /// Whether the JavaScript expression `condition` holds now.
    pub(crate) async fn holds(&self, condition: &str) -> bool {
        self.value(&format!("return Boolean({condition})")).await == true
    }

    /// Waits until the JavaScript expression `condition` holds; panics with the page's text if it does not in time.
    pub(crate) async fn until(&self, condition: &str) {
        let held =
            zhongkong_testkit::wait::holds_within(PATIENCE, async || self.holds(condition).await);
        if !held.await {
            let text = self.value("return document.body.innerText").await;
            panic!(
                "never in time: {condition}\n{}\n{:?}",
                text.as_str().unwrap(),
                self.console().await
            );
        }
    }

    /// Waits until `text` stands in what `selector` finds.
    pub(crate) async fn shows(&self, selector: &str, text: &str) {
        self.until(&format!(
            "[...document.querySelectorAll({selector:?})].some((e) => e.innerText.includes({text:?}))"
        ))
        .await;
    }

    pub(crate) async fn click(&self, selector: &str) {
        let ready = "(e) => e !== null && !e.disabled && e.ariaDisabled !== 'true'";
        self.until(&format!("({ready})(document.querySelector({selector:?}))")).await;
        self.client.find(Locator::Css(selector)).await.unwrap().click().await.unwrap();
    }

    /// Types into whatever has the focus.
    pub(crate) async fn press(&self, keys: &str) {
        self.client.active_element().await.unwrap().send_keys(keys).await.unwrap();
    }

    pub(crate) async fn press_key(&self, key: Key) {
        self.press(&char::from(key).to_string()).await;
    }

    /// Makes the window so wide, as a telephone's.
    pub(crate) async fn be_narrow(&self, width: u32) {
        let metrics =
            json!({ "width": width, "height": 740, "deviceScaleFactor": 1, "mobile": true });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// The system prefers `scheme`: light or dark.
    pub(crate) async fn prefer(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    async fn devtools(&self, method: &str, parameters: Value) {
        let body = json!({ "cmd": method, "params": parameters });
        self.client.issue_cmd(Own { path: "goog/cdp/execute", body }).await.unwrap();
    }

    /// What the console said since it was asked last.
    pub(crate) async fn console(&self) -> Vec<Value> {
        let log = Own { path: "se/log", body: json!({ "type": "browser" }) };
        self.client.issue_cmd(log).await.unwrap().as_array().unwrap().clone()
    }

    /// The console is empty: no error, no violation of the policy. Of failed calls only those of `statuses` are expected.
    pub(crate) async fn is_clean_but_for(&self, statuses: &[&str]) {
        let expected = |entry: &Value| {
            let message = entry["message"].as_str().unwrap();
            entry["source"] == "network" && statuses.iter().any(|status| message.contains(status))
        };
        let said: Vec<Value> =
            self.console().await.into_iter().filter(|entry| !expected(entry)).collect();
        assert!(said.is_empty(), "{said:#?}");
    }

    pub(crate) async fn is_clean(&self) {
        self.is_clean_but_for(&[]).await;
    }
}
