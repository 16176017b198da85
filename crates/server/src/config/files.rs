//! Finding the file, and the files that it includes.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::error::{Findings, Place};
use super::section::{Document, Raw, Section};

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

/// The files that `include` of `root` names, in order, each once.
pub(super) fn included(root: &Section<'_>) -> Vec<Document> {
    let Some(patterns) = root.read("include", patterns) else { return vec![] };
    let directory = root.directory_of("include");
    let mut paths = Vec::new();
    for pattern in patterns {
        match matches(&directory.join(pattern)) {
            Ok(found) => paths.extend(found),
            Err(what) => root.problem("include", &format!("{pattern}: {what}")),
        }
    }
    let mut seen = HashSet::new();
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
    let text = read_text(path).map_err(|error| (Place::file(path), format!("cannot be read: {error}")));
    let document = text.and_then(|text| Document::parse(path, text));
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
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        io::Error::other(format!("not UTF-8 in line {line}"))
    })
}
