//! The readers' guide: its functions, as they stand on the page, run against a cluster.
//!
//! Each language has a folder in `tests/readers` with a driver, which makes one call for each line of its
//! input and prints what happened, and with the libraries' versions. A language that is not on
//! this machine is skipped, and says so; an installation that fails is a failure.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::{sleep, timeout};
use zhongkong_testkit::cluster::STATE_KEY;
use zhongkong_testkit::{APP_ID, Cluster, PATIENCE, process};

use crate::setup::{cluster, refresh_at, until};

const GUIDE: &str = include_str!("../../docs/readers.md");
const CHINESE_GUIDE: &str = include_str!("../../docs/readers.zh-CN.md");

/// Longest wait for a download or a compiler.
const INSTALL_PATIENCE: Duration = Duration::from_mins(5);
/// How old a reader's token may be.
const CACHE_AGE: Duration = Duration::from_secs(10);
const USER: &str = "shop";
const PASSWORD: &str = "password-of-the-shop";

/// One section of the guide. Its commands are for `sh`, in a folder with the driver and the guide's code.
struct Language {
    /// The section's heading.
    name: &'static str,
    /// How its code is fenced.
    fence: &'static str,
    /// Below `tests/readers`.
    folder: &'static str,
    /// The file that the driver expects the guide's code in, and what has to stand before it there.
    guide: (&'static str, &'static str),
    /// Whether the language is on this machine.
    present: &'static str,
    /// Runs where nothing is installed, or something else.
    install: &'static str,
    /// Runs each time.
    build: &'static str,
    run: &'static str,
    copy: Copy,
}

/// What it uses between two reads of the key.
#[derive(PartialEq)]
enum Copy {
    /// Nothing: each call reads.
    None,
    /// What it read in the last ten seconds.
    Aged,
    /// What Redis told it last.
    Followed,
}

const LANGUAGES: [Language; 7] = [
    Language {
        name: "Python",
        fence: "python",
        folder: "python",
        guide: ("guide.py", ""),
        present: "python3 -m pip --version",
        install: "python3 -m pip install --disable-pip-version-check --root-user-action=ignore \
                  --target packages --requirement requirements.txt",
        build: "",
        run: "PYTHONPATH=packages exec python3 driver.py",
        copy: Copy::Aged,
    },
    Language {
        name: "Node",
        fence: "javascript",
        folder: "node",
        guide: ("guide.mjs", ""),
        present: "command -v node && command -v npm",
        install: "npm ci --no-audit --no-fund",
        build: "",
        run: "exec node driver.mjs",
        copy: Copy::Aged,
    },
    Language {
        name: "Go",
        fence: "go",
        folder: "go",
        guide: ("guide.go", "package main\n\n"),
        present: "command -v go",
        install: "",
        // Without optimization, because the first build compiles the standard library, too.
        build: "CGO_ENABLED=0 go build -gcflags='all=-N -l' -o driver .",
        run: "exec ./driver",
        copy: Copy::Aged,
    },
    Language {
        name: "Java",
        fence: "java",
        folder: "java",
        guide: ("Tokens.java", ""),
        present: "command -v javac && command -v mvn",
        install: "mvn --quiet --batch-mode dependency:copy-dependencies",
        build: "javac -cp 'jars/*' -d classes Driver.java Tokens.java",
        run: "exec java -cp 'classes:jars/*' Driver",
        copy: Copy::Aged,
    },
    Language {
        name: "PHP",
        fence: "php",
        folder: "php",
        guide: ("guide.php", ""),
        present: r#"php -r 'exit(extension_loaded("redis") ? 0 : 1);'"#,
        install: "",
        build: "",
        run: "exec php driver.php",
        copy: Copy::Aged,
    },
    Language {
        name: "Rust",
        fence: "rust",
        folder: "rust",
        // What runs was built with this test, and by `build.rs` from the same page.
        guide: ("guide.rs", ""),
        present: "true",
        install: "",
        build: "",
        run: concat!("exec ", env!("CARGO_BIN_EXE_zhongkong-guide")),
        copy: Copy::Followed,
    },
    Language {
        name: "Shell",
        fence: "sh",
        folder: "shell",
        guide: ("guide.sh", ""),
        present: "command -v redis-cli && command -v curl",
        install: "",
        build: "",
        run: "exec sh driver.sh",
        copy: Copy::None,
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_functions_read_and_report_in_every_language_of_this_machine() {
    let mut present = Vec::new();
    for language in &LANGUAGES {
        if language.is_present().await {
            language.prepare().await;
            present.push(language);
        } else {
            // Not by `eprintln`, which a test that passes keeps to itself.
            let (name, check) = (language.name, language.present);
            writeln!(std::io::stderr(), "SKIPPED: the guide's {name}; `{check}` fails").unwrap();
        }
    }
    assert!(!present.is_empty(), "none of the guide's languages is on this machine");

    // Long enough that nothing falls due meanwhile.
    let cluster = cluster().workers(1).life(Duration::from_hours(2)).start().await;
    cluster.settle().await;
    admit_reader(&cluster).await;
    let mut programs = Vec::new();
    for language in present {
        let mut program = Program::start(language, &cluster);
        reads_again_and_reports(&cluster, &mut program).await;
        programs.push(program);
    }

    // Whatever they read last is dead, and older than a cache may be.
    let current = replace(&cluster).await;
    sleep(CACHE_AGE).await;
    for mut program in programs {
        assert_eq!(program.call().await, [accepted(&current)], "{}", program.language.name);
        program.end().await;
    }
}

#[test]
fn the_guide_has_the_same_code_in_both_languages() {
    let code = |page: &str| -> Vec<String> {
        let parts = page.split("\n```").skip(1).step_by(2);
        parts.map(ToOwned::to_owned).collect()
    };
    assert!(code(GUIDE).len() > LANGUAGES.len());
    assert_eq!(code(GUIDE).len(), code(CHINESE_GUIDE).len());
    for (english, chinese) in code(GUIDE).iter().zip(code(CHINESE_GUIDE)) {
        assert_eq!(*english, chinese);
    }
}

/// The way of one reader: a call, a token that was replaced, a token that nobody else knows is dead.
async fn reads_again_and_reports(cluster: &Cluster, program: &mut Program) {
    let name = program.language.name;
    let worker = &cluster.workers()[0];
    // As if it were long ago that the one before reported: marks that repeat are served further and further apart.
    let forget = ["HDEL", STATE_KEY, "strain", "marked_at_ms"];
    let _: u64 = cluster.redis.command(&forget).await;
    let first = cluster.token().await.unwrap();
    assert_eq!(program.call().await, [accepted(&first)], "{name}");

    let second = replace(cluster).await;
    // What is reported now stays in the stream.
    worker.pause().await;
    let said = program.call().await;
    let again = [rejected(&first), accepted(&second)];
    match program.language.copy {
        Copy::None => assert_eq!(said, again[1..], "{name}"),
        Copy::Aged => assert_eq!(said, again, "{name}"),
        // Word of the second may still be on its way.
        Copy::Followed => assert!(said == again || said == again[1..], "{name}: {said:?}"),
    }
    assert!(reports(cluster).await.is_empty(), "{name} reported a token that was replaced");

    let fingerprint = cluster.simulator.token(&second).unwrap().fingerprint;
    let calls = cluster.simulator.calls(APP_ID);
    assert!(cluster.simulator.revoke(&second, true));
    program.begin_call().await;
    tokio::select! {
        said = program.end_call() => panic!("{name} did not report: {said:?}"),
        () = until(cluster, "a report", async || !reports(cluster).await.is_empty()) => {}
    }
    let report = [("id", APP_ID), ("kind", "access_token"), ("fingerprint", &fingerprint)];
    let report = report.map(|(field, value)| (field.to_owned(), value.to_owned()));
    assert_eq!(reports(cluster).await, [BTreeMap::from(report)], "{name}");
    worker.resume();
    let said = program.end_call().await;
    let third = cluster.token().await.unwrap();
    assert_eq!(said, [rejected(&second), accepted(&third)], "{name}\n{}", cluster.tails());
    assert_eq!(cluster.simulator.calls(APP_ID), calls + 1, "{name}");
    until(cluster, "the report is deleted", async || reports(cluster).await.is_empty()).await;
}

/// Has the current token replaced, and the old one die at once; gives the new one.
async fn replace(cluster: &Cluster) -> String {
    let old = cluster.token().await.unwrap();
    let (status, body) = refresh_at(cluster, 0, true).await;
    assert_eq!(status, 200, "{body}");
    assert!(cluster.simulator.revoke(&old, true));
    let new = cluster.token().await.unwrap();
    assert_ne!(new, old);
    new
}

/// The guide's own rights for readers: what they forbid, its functions can't need.
async fn admit_reader(cluster: &Cluster) {
    for line in GUIDE.lines().filter(|line| line.starts_with("ACL SETUSER shop ")) {
        let rights = line.replace("PASSWORD", PASSWORD);
        let words: Vec<&str> = rights.split(' ').collect();
        cluster.redis.command::<()>(&words).await;
    }
}

/// The entries of the stream; their fields may have any order.
async fn reports(cluster: &Cluster) -> Vec<BTreeMap<String, String>> {
    let entries: Vec<(String, BTreeMap<String, String>)> =
        cluster.redis.command(&["XRANGE", "zhongkong:reports", "-", "+"]).await;
    entries.into_iter().map(|(_id, fields)| fields).collect()
}

fn accepted(token: &str) -> String {
    format!("accepted {token}")
}

fn rejected(token: &str) -> String {
    format!("40001 {token}")
}

impl Language {
    async fn is_present(&self) -> bool {
        let mut check = process::command("sh");
        check.args(["-c", self.present]).stdout(Stdio::null()).stderr(Stdio::null());
        check.status().await.unwrap().success()
    }

    /// Lays out the folder in which it is built and run.
    async fn prepare(&self) {
        let (source, folder) = (self.source(), self.folder());
        let files: Vec<PathBuf> =
            fs::read_dir(&source).unwrap().map(|entry| entry.unwrap().path()).collect();
        // Whatever is neither the driver nor the guide says which libraries there are to be.
        let mut wanted = self.install.to_owned();
        let mut manifests: Vec<&PathBuf> = files.iter().filter(|file| !is_driver(file)).collect();
        manifests.sort();
        for manifest in manifests {
            wanted += &fs::read_to_string(manifest).unwrap();
        }
        let stamp = folder.join("installed");
        let installed = fs::read_to_string(&stamp).is_ok_and(|stamp| stamp == wanted);
        if !installed && folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(&folder).unwrap();
        for file in &files {
            fs::copy(file, folder.join(file.file_name().unwrap())).unwrap();
        }
        let (name, preface) = self.guide;
        fs::write(folder.join(name), format!("{preface}{}\n", self.code())).unwrap();
        if !installed {
            self.make(self.install).await;
            fs::write(stamp, wanted).unwrap();
        }
        self.make(self.build).await;
    }

    async fn make(&self, script: &str) {
        // Other tests run meanwhile, and theirs are the times that matter.
        let mut command = process::command("nice");
        command.args(["-n", "19", "sh", "-c", script]).current_dir(self.folder());
        let output = timeout(INSTALL_PATIENCE, command.output()).await;
        let output = output.unwrap_or_else(|_| panic!("`{script}` does not end")).unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "`{script}` fails\n{}", String::from_utf8_lossy(&said));
    }

    /// The section's first block of code.
    fn code(&self) -> &'static str {
        let (name, fence) = (self.name, self.fence);
        let section = GUIDE.split("\n## ").find(|section| section.lines().next() == Some(name));
        let code = section.and_then(|section| section.split(&format!("\n```{fence}\n")).nth(1));
        let code = code.unwrap_or_else(|| panic!("the guide has no code for {name}"));
        code.split("\n```").next().unwrap()
    }

    fn source(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("readers").join(self.folder)
    }

    fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("readers").join(self.folder)
    }
}

fn is_driver(file: &Path) -> bool {
    file.file_stem().is_some_and(|stem| stem.eq_ignore_ascii_case("driver"))
}

/// A driver that runs; it ends with the test.
struct Program {
    language: &'static Language,
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
}

impl Program {
    fn start(language: &'static Language, cluster: &Cluster) -> Self {
        let folder = language.folder();
        let errors = fs::File::create(folder.join("errors")).unwrap();
        let port = cluster.redis.port().to_string();
        let mut child = process::command("sh")
            .args(["-c", language.run])
            .current_dir(folder)
            .env("REDIS_URL", format!("redis://{USER}:{PASSWORD}@127.0.0.1:{port}"))
            .env("REDIS_HOST", "127.0.0.1")
            .env("REDIS_PORT", port)
            .env("REDIS_USER", USER)
            .env("REDIS_PASSWORD", PASSWORD)
            .env("REDISCLI_AUTH", PASSWORD)
            .env("SIMULATOR_URL", cluster.simulator.url())
            .env("CREDENTIAL_ID", APP_ID)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { language, child, input, lines, said: Vec::new() }
    }

    async fn call(&mut self) -> Vec<String> {
        self.begin_call().await;
        self.end_call().await
    }

    async fn begin_call(&mut self) {
        self.input.write_all(b"\n").await.unwrap();
    }

    /// What it said of its requests. May be given up, and awaited again.
    async fn end_call(&mut self) -> Vec<String> {
        loop {
            let line = timeout(PATIENCE, self.lines.next_line()).await;
            match line {
                Ok(Ok(Some(line))) if line == "done" => return std::mem::take(&mut self.said),
                Ok(Ok(Some(line))) if !line.starts_with("failed") => self.said.push(line),
                other => {
                    let (name, said, errors) = (self.language.name, &self.said, self.errors());
                    panic!("{name}: {other:?} after {said:?}\n{errors}")
                }
            }
        }
    }

    async fn end(mut self) {
        drop(self.input);
        let ended = timeout(PATIENCE, self.child.wait()).await;
        assert!(matches!(&ended, Ok(Ok(status)) if status.success()), "{}", self.language.name);
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.language.folder().join("errors")).unwrap_or_default()
    }
}
