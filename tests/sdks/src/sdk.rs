//! Which SDKs, and how each is installed, started and told where its token is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The secret that services have beside zhongkong: it opens nothing.
pub(crate) const DUMMY: &str = "no-secret";

/// One SDK in one version. Its commands are for `sh`, in a folder of its own with a copy of its files.
pub(crate) struct Sdk {
    /// On the command line.
    pub(crate) name: &'static str,
    /// In the table.
    pub(crate) title: &'static str,
    /// Its files, below this package.
    folder: &'static str,
    /// Programs that must be there.
    programs: &'static [&'static str],
    /// Of its files, the one that says in which versions it is installed.
    pinned: &'static str,
    /// Runs where nothing is installed, or something else.
    install: &'static str,
    pub(crate) run: &'static str,
    /// It fetches so long before the token's life is over: a shorter life would make it fetch all the time.
    pub(crate) margin: Duration,
    /// The credential's `publish`.
    pub(crate) publish: &'static str,
}

const NODE: &str = "npm ci --silent --no-audit --no-fund --legacy-peer-deps";

pub(crate) const SDKS: [Sdk; 7] = [
    Sdk {
        name: "wechatpy-1.8",
        title: "wechatpy 1.8.18",
        folder: "wechatpy",
        programs: &["python3", "pip3"],
        pinned: "requirements-1.8.txt",
        install: "python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
                  --no-deps --upgrade --target packages --requirement requirements-1.8.txt",
        run: "PYTHONPATH=packages exec python3 driver.py",
        margin: Duration::from_mins(1),
        publish: r#"["wechatpy"]"#,
    },
    Sdk {
        name: "wechatpy-2.0",
        title: "wechatpy 2.0.0a26",
        folder: "wechatpy",
        programs: &["python3", "pip3"],
        pinned: "requirements-2.0.txt",
        install: "python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
                  --no-deps --upgrade --target packages --requirement requirements-2.0.txt",
        run: "PYTHONPATH=packages exec python3 driver.py",
        margin: Duration::from_mins(1),
        publish: r#"["wechatpy"]"#,
    },
    Sdk {
        name: "co-wechat-api",
        title: "co-wechat-api 3.11.0",
        folder: "co-wechat-api",
        programs: &["node", "npm"],
        pinned: "package-lock.json",
        install: NODE,
        run: "exec node driver.mjs",
        margin: Duration::from_secs(10),
        publish: r#"[{ layout = "co-wechat-api", key = "wechat:{app_id}:access_token" }]"#,
    },
    Sdk {
        name: "node-easywechat",
        title: "node-easywechat 3.6.2",
        folder: "node-easywechat",
        programs: &["node", "npm"],
        pinned: "package-lock.json",
        install: NODE,
        run: "exec node driver.mjs",
        margin: Duration::ZERO,
        publish: r#"[{ layout = "node-easywechat", sdk_secret = "no-secret" }]"#,
    },
    Sdk {
        name: "nest-wechat",
        title: "nest-wechat 0.2.50",
        folder: "nest-wechat",
        programs: &["node", "npm"],
        pinned: "package-lock.json",
        install: NODE,
        run: "exec node driver.cjs",
        margin: Duration::from_mins(2),
        publish: r#"["nest-wechat"]"#,
    },
    Sdk {
        name: "labrador",
        title: "labrador 0.2.3",
        folder: "labrador",
        programs: &["cargo", "cc", "pkg-config"],
        pinned: "Cargo.lock",
        install: "cargo build --quiet --release --locked --target-dir target",
        run: "exec target/release/labrador-herd",
        margin: Duration::from_secs(200),
        publish: r#"["labrador"]"#,
    },
    Sdk {
        name: "easywechat-6",
        title: "Symfony cache, EasyWeChat 6's key",
        folder: "symfony-cache",
        programs: &["php"],
        pinned: "driver.php",
        install: "test -r /usr/share/php/Symfony/Component/Cache/autoload.php -a -r /usr/share/php/Psr/SimpleCache/autoload.php",
        run: "exec php driver.php",
        margin: Duration::ZERO,
        publish: r#"[{ layout = "easywechat", sdk_secret = "no-secret" }]"#,
    },
];

impl Sdk {
    /// What it takes is here; which program is missing, if one is.
    pub(crate) fn is_possible(&self) -> Result<(), String> {
        let missing = self
            .programs
            .iter()
            .find(|program| !sh(&format!("command -v {program}"), Path::new(".")));
        missing.map_or(Ok(()), |program| Err(format!("{program} is missing")))
    }

    /// Installs it below `folder` if that was not done before, and says where.
    pub(crate) fn install(&self, folder: &Path) -> PathBuf {
        let home = folder.join(self.name);
        fs::create_dir_all(&home).unwrap();
        let home = home.canonicalize().unwrap();
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join(self.folder);
        assert!(
            sh(&format!("cp -r '{}'/. .", files.display()), &home),
            "{}: cannot be copied",
            self.name
        );
        let wanted =
            format!("{}\n{}", self.install, fs::read_to_string(files.join(self.pinned)).unwrap());
        let installed = home.join("installed");
        if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
            return home;
        }
        assert!(sh(self.install, &home), "{}: cannot be installed", self.name);
        fs::write(installed, wanted).unwrap();
        home
    }
}

fn sh(command: &str, folder: &Path) -> bool {
    let status = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .stdout(std::process::Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
