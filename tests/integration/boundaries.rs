//! The layering of the library: imports point down only, and some things live in one place.

use std::fs;
use std::path::{Path, PathBuf};

/// Layers from the bottom up; a module uses those of lower layers, and of its own. `error` and `labels` are below all.
const LAYERS: &[&[&str]] = &[
    &["error", "labels"],
    &["image", "kernels", "metrics"],
    &["preprocess", "nn"],
    &["refusal"],
    &["formats", "explain"],
    &["models", "data"],
    &["audit", "classifier", "compress", "onnx", "train"],
    &["adapt", "lungs"],
    &["web"],
];

/// Every source file of the library with its module's name and its text up to the tests at its foot.
fn library() -> Vec<(PathBuf, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the sources") {
            let path = entry.expect("an entry").path();
            let inside = path.strip_prefix(&root).expect("below src").to_path_buf();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !inside.starts_with("bin")
                && inside != Path::new("lib.rs")
                && !inside.ends_with("tests.rs")
            {
                let first = inside.components().next().expect("a component").as_os_str().to_string_lossy();
                let module = first.trim_end_matches(".rs").to_owned();
                let text = fs::read_to_string(&path).expect("a source file");
                let text = text.split("#[cfg(test)]\nmod tests {").next().expect("a first part").to_owned();
                files.push((inside, module, text));
            }
        }
    }
    assert!(files.len() > 30, "found {} files only", files.len());
    files
}

fn layer(module: &str) -> usize {
    LAYERS.iter().position(|names| names.contains(&module)).unwrap_or_else(|| panic!("`{module}` is in no layer"))
}

/// Lines of code, without comments and documentation.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn imports_point_down_only() {
    // The kernels are a package of their own, which cannot know what lies above it.
    for (path, module, text) in library().into_iter().filter(|(_, module, _)| module != "kernels") {
        for line in code(&text) {
            for used in line.split("crate::").skip(1) {
                let used: String = used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                if used.is_empty() || used == module {
                    continue;
                }
                assert!(layer(&used) < layer(&module), "{}: `{module}` must not use `{used}`: {line}", path.display());
            }
        }
    }
}

/// Asserts that `word` stands in no code but that of files which `allowed` says may have it.
fn assert_only_in(word: &str, allowed: impl Fn(&str, &Path) -> bool) {
    let mut seen = false;
    for (path, module, text) in library() {
        let Some(line) = code(&text).find(|line| line.contains(word)) else { continue };
        seen = true;
        assert!(allowed(&module, &path), "`{word}` does not belong into {}: {line}", path.display());
    }
    assert!(seen, "`{word}` is nowhere: this rule keeps nothing");
}

#[test]
fn the_browser_is_known_to_its_bindings_only() {
    for name in ["wasm_bindgen", "js_sys", "web_sys"] {
        assert_only_in(name, |module, _| module == "web");
    }
}

/// Below them all is slices.
#[test]
fn candle_is_known_to_networks_as_a_whole_and_to_what_stands_above_them() {
    assert_only_in("candle", |module, path| {
        path.ends_with("nn/network.rs") || ["classifier", "lungs", "train"].contains(&module)
    });
}

#[test]
fn files_are_read_where_data_and_model_folders_are() {
    assert_only_in("fs::", |module, path| module == "data" || path.ends_with("formats/folder.rs"));
}

#[test]
fn unsafe_code_is_in_the_leaf_folder_of_the_kernels() {
    assert_only_in("unsafe ", |_, path| path.starts_with("kernels/arch"));
}

#[test]
fn no_library_code_reads_a_clock() {
    for (path, _, text) in library() {
        for clock in ["Instant::", "SystemTime"] {
            assert!(!code(&text).any(|line| line.contains(clock)), "{clock} in {}", path.display());
        }
    }
}
