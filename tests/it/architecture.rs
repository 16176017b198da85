//! The shape of the tree, as a table: who may depend on whom, and who owns which foreign crate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Normal dependencies among the members.
const DEPENDENCIES: [(&str, &[&str]); 19] = [
    ("zhongkong-core", &[]),
    ("zhongkong-redis", &["zhongkong-core"]),
    ("zhongkong-upstream", &["zhongkong-core"]),
    ("zhongkong-layouts", &["zhongkong-core"]),
    ("zhongkong-coordinator", &["zhongkong-core", "zhongkong-layouts"]),
    (
        "zhongkong",
        &[
            "zhongkong-coordinator",
            "zhongkong-core",
            "zhongkong-layouts",
            "zhongkong-notify",
            "zhongkong-redis",
            "zhongkong-upstream",
        ],
    ),
    ("zhongkong-notify", &["zhongkong-core"]),
    ("zhongkong-client", &["zhongkong-core"]),
    ("zhongkong-simulator", &[]),
    ("zhongkong-reader", &[]),
    ("zhongkong-testkit", &["zhongkong-history", "zhongkong-simulator"]),
    ("zhongkong-model", &["zhongkong-core"]),
    ("zhongkong-history", &[]),
    (
        "zhongkong-simulation",
        &[
            "zhongkong-coordinator",
            "zhongkong-core",
            "zhongkong-history",
            "zhongkong-layouts",
            "zhongkong-simulator",
        ],
    ),
    (
        "zhongkong-bench",
        &[
            "zhongkong",
            "zhongkong-core",
            "zhongkong-redis",
            "zhongkong-simulator",
            "zhongkong-testkit",
        ],
    ),
    ("zhongkong-fuzz", &["zhongkong", "zhongkong-core", "zhongkong-redis", "zhongkong-upstream"]),
    ("zhongkong-demo", &["zhongkong-testkit"]),
    ("zhongkong-sdks", &["zhongkong", "zhongkong-simulator", "zhongkong-testkit"]),
    ("zhongkong-tests", &["zhongkong", "zhongkong-client", "zhongkong-testkit"]),
];

/// Foreign crates that only these members know.
const OWNERS: [(&str, &[&str]); 9] = [
    (
        "redis",
        &[
            "zhongkong-redis",
            "zhongkong-client",
            "zhongkong-testkit",
            "zhongkong-demo",
            "zhongkong-reader",
            "zhongkong-bench",
        ],
    ),
    ("reqwest", &["zhongkong-upstream", "zhongkong-notify"]),
    ("axum", &["zhongkong", "zhongkong-simulator", "zhongkong-bench"]),
    (
        "clap",
        &[
            "zhongkong",
            "zhongkong-simulator",
            "zhongkong-demo",
            "zhongkong-reader",
            "zhongkong-bench",
            "zhongkong-simulation",
            "zhongkong-model",
            "zhongkong-sdks",
        ],
    ),
    ("anyhow", &["zhongkong", "zhongkong-demo", "zhongkong-reader"]),
    ("metrics-exporter-prometheus", &["zhongkong"]),
    ("sd-notify", &["zhongkong"]),
    ("tracing-subscriber", &["zhongkong"]),
    ("x509-cert", &["zhongkong"]),
];

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn normal(package: &Package) -> BTreeSet<String> {
    let normal = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal);
    normal.map(|dependency| dependency.name.clone()).collect()
}

#[test]
fn members_depend_on_each_other_as_the_map_says() {
    let members: BTreeMap<String, BTreeSet<String>> = metadata()
        .packages
        .iter()
        .map(|package| {
            let own = normal(package).into_iter().filter(|name| name.starts_with("zhongkong"));
            (package.name.to_string(), own.collect())
        })
        .collect();
    let expected = DEPENDENCIES.iter().map(|(name, on)| {
        ((*name).to_owned(), on.iter().map(ToString::to_string).collect::<BTreeSet<_>>())
    });
    assert_eq!(members, expected.collect());
}

/// The program, what it is made of, and the library for readers: whoever installs them needs all of it.
#[test]
fn what_is_published_needs_nothing_that_is_not() {
    let metadata = metadata();
    let published = |name: &str| {
        let package = metadata.packages.iter().find(|package| package.name == name).unwrap();
        package.publish.as_ref().is_none_or(|registries| !registries.is_empty())
    };
    for program in ["zhongkong", "zhongkong-client"] {
        assert!(published(program), "{program}");
    }
    for package in metadata.packages.iter().filter(|package| published(&package.name)) {
        let needed = package
            .dependencies
            .iter()
            .filter(|d| d.kind != DependencyKind::Development && d.name.starts_with("zhongkong"));
        for dependency in needed {
            assert!(published(&dependency.name), "{} needs {}", package.name, dependency.name);
            let version = format!("^{}", package.version);
            assert_eq!(dependency.req.to_string(), version, "{}", dependency.name);
        }
    }
}

/// `make licences` writes it; whoever ships the binary ships these texts.
#[test]
fn the_licence_texts_are_those_of_what_is_in_the_binary() {
    let texts = std::fs::read_to_string(root().join("THIRD-PARTY.txt")).unwrap();
    let tree = Command::new("cargo")
        .args(["tree", "--locked", "--package", "zhongkong", "--edges", "normal"])
        .args(["--target", "x86_64-unknown-linux-gnu", "--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let mut seen = 0;
    for line in tree.lines().filter(|line| !line.starts_with("zhongkong")) {
        let (name, rest) = line.split_once(" v").unwrap();
        let version = rest.split(' ').next().unwrap();
        assert!(texts.contains(&format!("- {name} {version}\n")), "{line}: see make licences");
        seen += 1;
    }
    assert!(seen > 100, "only {seen} dependencies");
}

#[test]
fn each_foreign_crate_stays_with_its_owner() {
    for package in metadata().packages {
        for name in normal(&package) {
            let owners =
                OWNERS.iter().find(|(foreign, _)| *foreign == name).map(|(_, owners)| owners);
            let allowed = owners.is_none_or(|owners| owners.contains(&package.name.as_str()));
            assert!(allowed, "{} knows {name}", package.name);
        }
    }
}

#[test]
fn the_core_knows_no_clock_no_io_and_no_runtime() {
    let metadata = metadata();
    let core = metadata.packages.iter().find(|package| package.name == "zhongkong-core").unwrap();
    let allowed = ["async-trait", "hex", "secrecy", "serde", "serde_json", "sha2", "thiserror"];
    assert_eq!(normal(core), allowed.map(str::to_owned).into_iter().collect());
}

#[test]
fn every_source_file_begins_with_what_it_is_for() {
    let mut folders = vec![root().join("crates"), root().join("tests")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(text.starts_with("//! "), "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 80, "only {seen} files");
}
