//! Finding the file, and the files that it includes.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::document::Document;
use super::environment::Environment;
use super::error::{Findings, Place};
use super::section::Section;
use super::value::Raw;

/// The largest file, in bytes.
const FILE_MAX: u64 = 4 * 1024 * 1024;
/// The most files that patterns may include.
const INCLUDED_MAX: usize = 10_000;

/// The file at `path`, else where the environment says, else the first of `places` that exists;
/// none if the environment alone says what differs from the defaults.
pub(super) fn main(
    path: Option<&Path>,
    environment: &Environment,
    places: &[&Path],
    findings: &Findings,
) -> Option<Document> {
    let named = path.or_else(|| environment.get("ZHONGKONG_CONFIG").map(Path::new));
    // What cannot be looked at exists, as far as we know: reading it will say why it cannot.
    let exists = |place: &Path| place.try_exists().unwrap_or(true);
    let found = named.or_else(|| places.iter().copied().find(|place| exists(place)));
    if found.is_none() && !environment.overrides_anything() {
        let looked: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        let what = format!(
            "no configuration: none of {} exists; write one of them, or name a file by --config or ZHONGKONG_CONFIG",
            looked.join(", ")
        );
        findings.problem(&Place::Default, "", &what);
    }
    read(found?, findings)
}

/// The files that `include` of `root` names, in order, each once, and without `main` itself.
pub(super) fn included(root: &Section<'_>, main: Option<&Document>) -> Vec<Document> {
    let Some(patterns) = root.read("include", patterns) else { return vec![] };
    let directory = root.directory_of("include");
    let mut paths = Vec::new();
    for pattern in patterns {
        match matches(&directory.join(pattern)) {
            Ok(found) => paths.extend(found),
            Err(what) => root.problem("include", &format!("{pattern}: {what}")),
        }
    }
    let mut seen: HashSet<PathBuf> = main.map(|main| main.path().to_owned()).into_iter().collect();
    paths.retain(|path| seen.insert(path.clone()));
    if paths.len() > INCLUDED_MAX {
        root.problem("include", &format!("{} files, more than {INCLUDED_MAX}", paths.len()));
        return vec![];
    }
    paths.iter().filter_map(|path| read(path, root.findings)).collect()
}

fn patterns(raw: Raw<'_>) -> Result<Vec<&str>, String> {
    let array = match raw {
        Raw::Item(item) => item.as_array(),
        Raw::Variable(_) => None,
    };
    array
        .and_then(|array| array.iter().map(|pattern| pattern.as_str()).collect())
        .ok_or_else(|| "must be a list of paths, such as [\"credentials.d/*.toml\"]".to_owned())
}

/// The files that match `pattern`, sorted; without a `*` that is the file itself.
fn matches(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let Some(name) = pattern.file_name().and_then(|name| name.to_str()) else {
        return Err("names no file".to_owned());
    };
    let directory = pattern.parent().unwrap_or(Path::new(""));
    if directory.to_string_lossy().contains('*') {
        return Err("`*` is understood in the last component alone".to_owned());
    }
    if !name.contains('*') {
        return Ok(vec![pattern.to_owned()]);
    }
    let entries = match fs::read_dir(if directory == "" { Path::new(".") } else { directory }) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(error.to_string()),
    };
    let mut found = Vec::new();
    for entry in entries {
        let file = entry.map_err(|error| error.to_string())?.file_name();
        // A link is followed: mounted volumes are made of links.
        let path = directory.join(&file);
        if file.to_str().is_some_and(|file| fits(name, file)) && !path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Whether `name` fits `pattern`, in which `*` stands for any text; hidden files must be named as such.
fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(head) else { return false };
    let (middle, last) = tail.rsplit_once('*').unwrap_or(("", tail));
    for part in middle.split('*') {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn read(path: &Path, findings: &Findings) -> Option<Document> {
    let text =
        read_text(path).map_err(|error| (Place::file(path), format!("cannot be read: {error}")));
    let document = text.and_then(|text| Document::parse(path, &text));
    document.inspect_err(|(place, what)| findings.problem(place, "", what)).ok()
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_MAX) {
        return Err(io::Error::other("larger than 4 MiB; split it with `include`"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.split(|byte| *byte == b'\n').count();
        io::Error::other(format!("not UTF-8 in line {line}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::ACCOUNT;
    use crate::config::{Config, ConfigError, Loaded};

    /// Loads `zhongkong.toml` of a directory that holds `files`.
    fn load(files: &[(&str, &str)]) -> (PathBuf, Result<Loaded, ConfigError>) {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let environment = [("WX_SECRET", "s3cret")].into_iter().collect();
        let main = directory.path().join("zhongkong.toml");
        (directory.path().to_owned(), Config::load(Some(&main), &environment))
    }

    #[track_caller]
    fn refused(files: &[(&str, &str)], part: &str) {
        let error = load(files).1.unwrap_err().to_string();
        assert!(error.contains(part), "{part:?} is not in:\n{error}");
    }

    const INCLUDE: (&str, &str) = ("zhongkong.toml", "include = [\"credentials.d/*.toml\"]");

    #[test]
    fn included_files_are_read_in_order_and_each_once() {
        let other = ACCOUNT.replace("wx0", "wx1");
        let (directory, loaded) = load(&[
            (
                "zhongkong.toml",
                "include = [\"*.toml\", \"credentials.d/*.toml\", \"credentials.d/a.toml\"]",
            ),
            ("credentials.d/b.toml", ACCOUNT),
            ("credentials.d/a.toml", &other),
            ("credentials.d/.hidden.toml", "not TOML"),
            ("credentials.d/README", "not TOML"),
        ]);
        let loaded = loaded.unwrap();
        let names = ["zhongkong.toml", "credentials.d/a.toml", "credentials.d/b.toml"];
        assert_eq!(loaded.files, names.map(|name| directory.join(name)));
        let ids: Vec<&str> = loaded.config.credentials.iter().map(|c| c.id.as_str()).collect();
        assert_eq!(ids, ["wx1123456789abcdef", "wx0123456789abcdef"]);
    }

    #[test]
    fn a_pattern_may_match_nothing_but_a_name_may_not() {
        assert!(load(&[INCLUDE]).1.is_ok());
        refused(&[("zhongkong.toml", "include = [\"x.toml\"]")], "x.toml: cannot be read: ");
    }

    #[test]
    fn an_included_file_holds_credentials_alone() {
        let file = ("credentials.d/a.toml", "\n[redis]\nurl = \"redis://h\"");
        refused(
            &[INCLUDE, file],
            "credentials.d/a.toml:2: redis: unknown key `redis` in an included file",
        );
        refused(&[INCLUDE, (file.0, "a = [")], "credentials.d/a.toml:1:6: not TOML");
    }

    #[test]
    fn what_is_no_list_of_patterns_is_refused() {
        for (include, part) in [
            ("7", "zhongkong.toml:1: include: must be a list of paths"),
            ("[7]", "must be a list of paths"),
            ("[\"*/a.toml\"]", "*/a.toml: `*` is understood in the last component alone"),
            ("[\"..\"]", "..: names no file"),
        ] {
            refused(&[("zhongkong.toml", &format!("include = {include}"))], part);
        }
    }

    #[test]
    fn more_than_ten_thousand_files_are_refused() {
        let names =
            (0..=INCLUDED_MAX).fold(String::new(), |names, at| names + &format!("\"{at}.toml\","));
        let main = format!("include = [{names}]");
        refused(&[("zhongkong.toml", &main)], "include: 10001 files, more than 10000");
    }

    #[test]
    fn a_file_that_is_missing_too_large_or_not_text_is_refused() {
        refused(&[], "zhongkong.toml: cannot be read: ");
        let large = "#".repeat(4 * 1024 * 1024 + 1);
        refused(&[("zhongkong.toml", &large)], "larger than 4 MiB");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.toml");
        fs::write(&path, b"a = 1\n# \xff").unwrap();
        let error = Config::load(Some(&path), &Environment::default()).unwrap_err().to_string();
        assert!(error.contains("not UTF-8 in line 2"), "{error}");
    }

    #[test]
    fn a_file_is_named_by_hand_then_by_environment_then_by_place() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["a", "b", "c"].map(|name| directory.path().join(name));
        for path in &paths {
            fs::write(path, "").unwrap();
        }
        let [a, b, c] = paths;
        let environment = Environment::from_iter([("ZHONGKONG_CONFIG", b.to_str().unwrap())]);
        let chosen = |path: Option<&Path>, environment| {
            let findings = Findings::default();
            let places = [Path::new("/no/such/file"), &c];
            main(path, environment, &places, &findings).unwrap().path().to_owned()
        };
        assert_eq!(chosen(Some(&a), &environment), a);
        assert_eq!(chosen(None, &environment), b);
        assert_eq!(chosen(None, &Environment::default()), c);
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, expected) in [
            ("*.toml", "a.toml", true),
            ("*.toml", ".toml", false),
            (".*", ".toml", true),
            ("a*b*c", "a12b3c", true),
            ("a*b*c", "a12c3b", false),
            ("a*a", "a", false),
            ("**", "x", true),
            ("a*b*b", "ab", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
