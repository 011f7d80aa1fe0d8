//! The documentation beside the code: short where it is read first, its links lead somewhere, and its commands exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::roentgen;

/// Bytes that a stranger reads before anything else.
const README_BYTES: usize = 6_000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let below = |folder: &str| -> Vec<PathBuf> {
        let entries = fs::read_dir(root().join(folder)).expect("a folder of the documentation");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    };
    let mut paths = [below("."), below("docs")].concat();
    paths.extend(["www/README.md", "examples/ray/README.md"].map(|path| root().join(path)));
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    assert!(paths.len() > 15, "{} pages only", paths.len());
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(&path).expect("a page"))).collect()
}

/// The lines of a page outside its code blocks, or, with `inside`, those of blocks in this language.
fn lines<'a>(text: &'a str, inside: Option<&str>) -> Vec<&'a str> {
    let mut block = None;
    let mut kept = Vec::new();
    for line in text.lines() {
        match line.trim_start().strip_prefix("```") {
            Some(language) => block = block.is_none().then_some(language),
            None if block == inside => kept.push(line),
            None => {}
        }
    }
    kept
}

/// The anchors of a page's headings, as hosts of Markdown make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = lines(text, None).into_iter().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| -> String {
        let kept = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        kept.chars().filter(|&c| c.is_alphanumeric() || c == '-' || c == '_').collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn the_readme_is_short_and_says_what_this_is_not() {
    let text = fs::read_to_string(root().join("README.md")).expect("the README");
    assert!(text.len() <= README_BYTES, "{} bytes", text.len());
    assert!(text.contains("not a medical device"));
}

#[test]
fn links_between_pages_lead_somewhere() {
    for (path, text) in pages() {
        for target in lines(&text, None).join("\n").split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("http") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = path.parent().expect("a folder");
            let linked = if file.is_empty() { path.clone() } else { folder.join(file) };
            assert!(linked.exists(), "{}: {target}", path.display());
            let there = || anchors(&fs::read_to_string(&linked).expect("a page")).contains(anchor);
            assert!(anchor.is_empty() || there(), "{}: no heading for {target}", path.display());
        }
    }
}

/// What `roentgen COMMAND --help` prints.
fn help(command: &[&str]) -> String {
    let output = roentgen(command.iter().chain(&["--help"]));
    assert!(output.status.success(), "no command {command:?}");
    String::from_utf8(output.stdout).expect("help is text")
}

#[test]
fn options_in_examples_of_the_command_line_exist() {
    let mut known = BTreeMap::new();
    let mut examples = 0;
    for (path, text) in pages() {
        let shell = lines(&text, Some("sh")).join("\n").replace("\\\n", " ");
        for line in shell.lines().filter_map(|line| line.trim().strip_prefix("roentgen ")) {
            let words: Vec<&str> = line.split(" #").next().unwrap_or(line).split_whitespace().collect();
            let group = ["refusal", "lungs"].contains(&words[0]);
            let command = &words[..if group { 2 } else { 1 }];
            let help = known.entry(command.join(" ")).or_insert_with(|| help(command));
            examples += 1;
            for option in words.iter().map(|word| word.trim_matches(['[', ']'])).filter(|word| word.starts_with("--")) {
                let exists = help.split(|c: char| !(c.is_alphanumeric() || c == '-')).any(|word| word == option);
                assert!(exists, "{}: `roentgen {}` has no {option}", path.display(), command.join(" "));
            }
        }
    }
    assert!(examples > 20, "{examples} examples only");
}

#[test]
fn every_command_is_on_the_page_of_commands() {
    let page = fs::read_to_string(root().join("docs/cli.md")).expect("the page");
    let help = help(&[]);
    let commands = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a list");
    let names = commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<&str> = names.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names.into_iter().filter(|name| *name != "help") {
        assert!(page.contains(&format!("`{name} ")) || page.contains(&format!("`{name}`")), "{name} is missing");
    }
}
