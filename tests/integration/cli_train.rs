//! `roentgen train` as a user runs it, on generated films. Full-size networks: some fifty steps in all.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use image::{GrayImage, Luma};
use roentgen::formats::folder::{read_model_folder, write_model_folder};
use roentgen::formats::{Encoding, ModelCard, Storage, Weight, read_weights, write_weights};
use roentgen::nn::{BESIDE, Tensor};
use roentgen::train::{EpochRecord, History};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::formula::random;

/// Writes `n` noisy films of 48 px with a disc in the middle that is bright in one class and dark in the other.
pub fn write_films(folder: &Path, bright: bool, n: usize, stream: u64) {
    fs::create_dir_all(folder).expect("a folder");
    for film in 0..n {
        let noise = |x: u32, y: u32| (random(stream + film as u64, (48 * y + x) as usize) % 60) as u8;
        let image = GrayImage::from_fn(48, 48, |x, y| {
            let inside = x.abs_diff(24).pow(2) + y.abs_diff(24).pow(2) < 256;
            Luma([noise(x, y) + if inside == bright { 180 } else { 20 }])
        });
        image.save(folder.join(format!("film {film}.png"))).expect("a PNG");
    }
}

/// `train` and `val` folders of two classes, and `runs` for what is made of them.
pub fn data_set() -> TempDir {
    let dir = TempDir::new().expect("a temporary folder");
    for (split, n, stream) in [("train", 20, 1000), ("val", 10, 2000)] {
        write_films(&dir.path().join("films").join(split).join("bright"), true, n, stream);
        write_films(&dir.path().join("films").join(split).join("dark"), false, n, stream + 500);
    }
    dir
}

/// `roentgen train` with `dir` as the working directory.
fn train(dir: &TempDir, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roentgen"));
    command.current_dir(dir).arg("train").args(arguments.split_whitespace());
    command
}

fn run(dir: &TempDir, arguments: &str) -> Output {
    train(dir, arguments).output().expect("the binary starts")
}

fn succeed(dir: &TempDir, arguments: &str) -> Output {
    let output = run(dir, arguments);
    assert!(output.status.success(), "train {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Runs what must be refused, and returns its one line on standard error.
fn refusal(dir: &TempDir, arguments: &str) -> String {
    let output = run(dir, arguments);
    let message = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(!output.status.success(), "train {arguments} succeeded: {message}");
    assert!(output.status.code().is_some(), "train {arguments} was killed: {message}");
    assert!(output.stdout.is_empty(), "train {arguments} wrote to standard output");
    let errors: Vec<_> = message.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "train {arguments}: {message}");
    assert!(message.ends_with(&format!("{}\n", errors[0])), "train {arguments}: {message}");
    errors[0].to_owned()
}

/// SHA-256 of `out/checkpoint.safetensors`: weights, optimiser, position, history and settings, 331 MB.
fn checkpoint(dir: &TempDir, out: &str) -> String {
    let bytes = fs::read(dir.path().join(out).join("checkpoint.safetensors")).expect("a checkpoint");
    assert!(bytes.len() > 3 * 4 * 27_613_122, "{} bytes cannot hold weights and two moments", bytes.len());
    format!("{:x}", Sha256::digest(bytes))
}

/// Asserts that every tag is closed, in order, and that there is one root.
fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    for (i, part) in svg.split('<').skip(1).enumerate() {
        let (tag, _) = part.split_once('>').expect("every `<` has its `>`");
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap_or("");
        assert!(i == 0 || !open.is_empty() || tag.starts_with('/'), "`{tag}` is outside the root");
        match (tag.starts_with('/'), tag.ends_with('/')) {
            (true, _) => assert_eq!(open.pop(), Some(name), "closed by `{tag}`"),
            (false, false) => open.push(name),
            (false, true) => {}
        }
    }
    assert!(open.is_empty(), "{open:?} stay open");
}

#[test]
fn learns_to_tell_bright_from_dark_and_writes_every_file() {
    let dir = data_set();
    let broken = dir.path().join("films/train/dark/broken.png");
    fs::write(&broken, b"\x89PNG\r\n\x1a\nthen nothing").expect("a file");
    let output = succeed(&dir, "--data films --out model --epochs 2 --steps-per-epoch 9 --seed 3 --json");
    let messages = String::from_utf8(output.stderr).expect("UTF-8");
    let left_out: Vec<_> = messages.lines().filter(|line| line.contains("broken.png")).collect();
    assert!(matches!(left_out[..], [line] if line.starts_with("left out, unreadable")), "{messages}");
    assert!(messages.contains("dark: 20 to train on, 10 to validate"), "{messages}");

    let out = dir.path().join("model");
    let mut files: Vec<_> =
        fs::read_dir(&out).expect("a folder").map(|e| e.expect("an entry").file_name().into_string()).collect();
    files.sort();
    let expected = ["checkpoint.safetensors", "history.json", "history.svg", "model.json", "weights.safetensors"];
    assert_eq!(files, expected.map(|name| Ok(name.to_owned())), "these and nothing left over");

    let read = |name: &str| fs::read(out.join(name)).expect("a file");
    let history: History = serde_json::from_slice(&read("history.json")).expect("a history");
    assert_eq!(history.epochs.iter().map(|e| e.epoch).collect::<Vec<_>>(), [1, 2]);
    let best = history.best().expect("an epoch").validation.accuracy;
    assert!(best >= 0.9, "validation accuracy {best}; the classes differ at a glance");
    let first = &history.epochs[0];
    assert!(history.epochs[1].train.loss < first.train.loss, "{history:?}");
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    let printed: Vec<EpochRecord> =
        lines.lines().map(|line| serde_json::from_str(line).expect("one record a line")).collect();
    assert_eq!(printed, history.epochs);

    let card = ModelCard::from_json(&read("model.json")).expect("a model card");
    card.verify(&read("weights.safetensors")).expect("the weights that the card describes");
    assert_eq!((card.architecture.as_str(), &card.classes[..]), ("scratch-cnn", &["bright".into(), "dark".into()][..]));
    let trained = card.training.expect("how it was trained");
    assert_eq!(trained["config"]["seed"], 3);
    assert_eq!(trained["images"], serde_json::json!({ "train": 40, "validation": 20 }));

    let svg = String::from_utf8(read("history.svg")).expect("UTF-8");
    assert!(svg.starts_with("<svg ") && svg.contains("Accuracy"), "{svg}");
    assert_well_formed(&svg);
}

/// Every source of chance in use.
const CHANCE: &str = "--data films --augment 1 --dropout 0.3 --label-smoothing 0.1 \
                      --weight-decay 0.01 --balance classes --seed 5";

#[test]
fn a_run_broken_off_continues_to_the_weights_of_an_unbroken_one() {
    let dir = data_set();
    // How long an epoch takes here tells when to interrupt one.
    let mut child = train(&dir, &format!("{CHANCE} --steps-per-epoch 4 --out whole --epochs 2"))
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map(|line| line.expect("UTF-8"));
    assert!(lines.any(|line| line.starts_with("dark: ")), "training begins");
    let begun = Instant::now();
    assert!(lines.any(|line| line.starts_with("epoch 1/2: ")), "the first epoch ends");
    let epoch = begun.elapsed();
    lines.for_each(drop);
    assert!(child.wait().expect("ends").success());
    let whole = checkpoint(&dir, "whole");

    // Broken between epochs.
    succeed(&dir, &format!("{CHANCE} --steps-per-epoch 4 --out parts --epochs 1"));
    assert_ne!(checkpoint(&dir, "parts"), whole);
    succeed(&dir, &format!("{CHANCE} --steps-per-epoch 4 --out parts --epochs 2 --resume"));
    assert_eq!(checkpoint(&dir, "parts"), whole);

    // Broken within one, by Ctrl-C.
    let stopped_at = interrupt(&dir, &format!("{CHANCE} --steps-per-epoch 4 --out stopped --epochs 2"), epoch / 3);
    assert!((1..8).contains(&stopped_at), "stopped at step {stopped_at}");
    succeed(&dir, &format!("{CHANCE} --steps-per-epoch 4 --out stopped --epochs 2 --resume"));
    assert_eq!(checkpoint(&dir, "stopped"), whole);
    for name in ["history.json", "weights.safetensors"] {
        let read = |out: &str| fs::read(dir.path().join(out).join(name)).expect("a file");
        assert!(read("stopped") == read("whole") && read("parts") == read("whole"), "{name} differs");
    }
}

/// Sends SIGINT a while after training began; returns the step that the run says it stopped at.
fn interrupt(dir: &TempDir, arguments: &str, after: Duration) -> u64 {
    let mut child = train(dir, arguments).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map(|line| line.expect("UTF-8"));
    assert!(lines.any(|line| line.starts_with("dark: ")), "training begins");
    std::thread::sleep(after);
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill starts");
    assert!(sent.success());
    let last = lines.last().expect("a message");
    let status = child.wait().expect("ends");
    // 128 + SIGINT, as a shell reports it.
    assert_eq!(status.code(), Some(130), "{last}");
    let (step, advice) = last
        .strip_prefix("stopped at step ")
        .and_then(|rest| rest.split_once(';'))
        .unwrap_or_else(|| panic!("not interrupted: {last}"));
    assert!(advice.contains("--resume"), "{last}");
    step.parse().expect("a number")
}

#[test]
fn the_number_of_threads_does_not_change_the_weights() {
    let dir = data_set();
    let made = ["1", "2"].map(|threads| {
        let arguments = format!("{CHANCE} --out threads{threads} --epochs 1 --steps-per-epoch 3");
        let status = train(&dir, &arguments).env("RAYON_NUM_THREADS", threads).output().expect("starts").status;
        assert!(status.success());
        checkpoint(&dir, &format!("threads{threads}"))
    });
    assert_eq!(made[0], made[1]);
}

#[test]
fn a_run_is_not_continued_with_other_settings_or_images_or_from_damaged_bytes() {
    let dir = data_set();
    let missing = refusal(&dir, "--data films --out model --resume");
    assert!(missing.contains("checkpoint.safetensors"), "{missing}");

    let settings = "--data films --out model --epochs 1 --steps-per-epoch 1";
    succeed(&dir, settings);
    let before = checkpoint(&dir, "model");
    let anew = refusal(&dir, settings);
    assert!(anew.contains("--resume") && anew.contains("--overwrite"), "{anew}");
    assert_eq!(checkpoint(&dir, "model"), before, "a refused run changes nothing");
    let other = refusal(&dir, &format!("{settings} --resume --learning-rate 2e-4"));
    assert!(other.contains("other settings"), "{other}");
    write_films(&dir.path().join("films/train/dark"), false, 21, 9000);
    let other = refusal(&dir, &format!("{settings} --resume"));
    assert!(other.contains("other images"), "{other}");
    assert_eq!(checkpoint(&dir, "model"), before, "a refusal leaves the checkpoint alone");

    let path = dir.path().join("model/checkpoint.safetensors");
    let file = fs::OpenOptions::new().write(true).open(&path).expect("a file");
    file.set_len(1_000_000).expect("cut");
    let damaged = refusal(&dir, &format!("{settings} --resume"));
    assert!(damaged.starts_with("error: checkpoint: "), "{damaged}");
}

#[test]
fn settings_that_make_no_sense_are_refused_in_one_line_and_nothing_is_written() {
    let dir = data_set();
    for (arguments, named) in [
        ("--learning-rate 0", "learning rate"),
        ("--learning-rate nan", "learning rate"),
        ("--epochs 0", "epochs"),
        ("--steps-per-epoch 0", "steps per epoch"),
        ("--batch-size 0", "batch size"),
        ("--dropout 1", "dropout"),
        ("--label-smoothing=-0.1", "label smoothing"),
        ("--weight-decay inf", "weight decay"),
        ("--optimizer sgd --momentum 1", "momentum"),
        ("--augment=-1", "augment"),
        ("--std 0", "preprocess.std"),
        ("--arch resnet-50", "scratch-cnn"),
        ("--classes bright", "at least two"),
        ("--classes bright,bright", "twice"),
        ("--classes bright,grey", "no class folder `grey`"),
        ("--only nothing/*", "matches"),
    ] {
        let message = refusal(&dir, &format!("--data films --out model {arguments}"));
        assert!(message.contains(named), "{arguments}: {message}");
        assert!(!dir.path().join("model").exists(), "{arguments} left an output folder");
    }
}

#[test]
fn folders_that_are_no_data_set_are_refused_in_one_line() {
    let dir = data_set();
    let at = |path: &str| dir.path().join(path);
    let broken = |path: &str| {
        fs::create_dir_all(at(path)).expect("a folder");
        (0..8).for_each(|i| fs::write(at(path).join(format!("{i}.png")), b"no film").expect("a file"));
    };
    write_films(&at("one/bright"), true, 4, 1);
    write_films(&at("empty/bright"), true, 4, 1);
    fs::create_dir_all(at("empty/dark")).expect("a folder");
    broken("broken/a");
    broken("broken/b");
    write_films(&at("half/bright"), true, 8, 1);
    broken("half/dark");
    write_films(&at("few/bright"), true, 1, 1);
    write_films(&at("few/dark"), false, 1, 2);
    for (data, named) in [
        ("nowhere", "nowhere is not a folder"),
        ("films/train/dark/film 0.png", "is not a folder"),
        ("films/train/dark", "no class folders"),
        ("one", "at least two"),
        ("empty", "class `dark` has no film"),
        ("broken", "could be read"),
        ("half", "class `dark` has no readable film"),
        ("few", "no film is left to validate on"),
    ] {
        let output = train(&dir, "--out model --data").arg(data).output().expect("the binary starts");
        let message = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{data}: {message}");
        let last = message.lines().last().unwrap_or_default();
        assert!(last.starts_with("error: ") && last.contains(named), "{data}: {message}");
        assert_eq!(message.matches("error: ").count(), 1, "{data}: {message}");
    }
}

/// A model that is shipped: normalisations folded, eight bits a weight, packed.
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/www/models/four-findings");

/// The defaults that a last layer has, on 2 × 20 films.
#[test]
fn a_last_layer_learns_from_what_a_shipped_model_makes_of_the_films() {
    let dir = data_set();
    let arguments = format!("--data films --init {SHIPPED} --freeze backbone --seed 3");
    let output = succeed(&dir, &format!("{arguments} --out head"));
    let messages = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(messages.contains("starting anew: classifier.weight, classifier.bias"), "{messages}");

    let out = dir.path().join("head");
    let (card, safetensors) = read_model_folder(&out).expect("a model folder");
    let (start, file) = read_model_folder(Path::new(SHIPPED)).expect("the shipped model");
    assert_eq!((&card.architecture, &card.preprocess), (&start.architecture, &start.preprocess));
    let config = &card.training.expect("how it was trained")["config"];
    let expected =
        serde_json::json!({ "model": "four-findings", "sha256": start.weights.sha256, "classes": start.classes });
    assert_eq!((&config["start"], &config["freeze"]), (&expected, &serde_json::json!("backbone")));
    let [head, start] = [safetensors, file].map(|bytes| read_weights(&bytes).expect("weights").0);
    for (name, tensor) in head.iter().filter(|(name, _)| !name.contains("bn") && !name.starts_with("classifier")) {
        assert!(*tensor == start[name], "{name} has changed");
    }
    let history: History = serde_json::from_slice(&fs::read(out.join("history.json")).expect("a file")).expect("JSON");
    let best = history.best().expect("an epoch").validation.accuracy;
    assert!(best >= 0.9, "validation accuracy {best}; the classes differ at a glance");

    // Broken off after an epoch and gone on with, it is the same model.
    succeed(&dir, &format!("{arguments} --out parts --epochs 1"));
    succeed(&dir, &format!("{arguments} --out parts --resume"));
    let weights = |name: &str| fs::read(dir.path().join(name).join("checkpoint.safetensors")).expect("a checkpoint");
    assert!(weights("head") == weights("parts"), "a run that goes on ends elsewhere");

    let evaluate = ["evaluate", "--model", "head", "--data", "films/val", "--json", "-"];
    let evaluated =
        Command::new(env!("CARGO_BIN_EXE_roentgen")).current_dir(&dir).args(evaluate).output().expect("starts");
    assert!(evaluated.status.success(), "{}", String::from_utf8_lossy(&evaluated.stderr));
    let evaluation: serde_json::Value = serde_json::from_slice(&evaluated.stdout).expect("JSON");
    // Films are bytes in training, and unrounded here.
    assert!((evaluation["accuracy"].as_f64().expect("a number") - best).abs() < 0.051, "{best}, then {evaluation}");
}

#[test]
fn all_layers_go_on_from_a_shipped_model_and_what_cannot_go_well_is_refused() {
    let dir = data_set();
    let start = format!("--data films --init {SHIPPED} --epochs 1 --steps-per-epoch 2 --batch-size 2");
    succeed(&dir, &format!("{start} --out all"));
    let refused = refusal(&dir, &format!("{start} --out other --norms batch"));
    assert!(refused.contains("norms") && refused.contains("take `running`"), "{refused}");
    let refused = refusal(&dir, &format!("{start} --out other --arch scratch-cnn"));
    assert!(refused.contains("efficientnet-lite0-slim"), "{refused}");
}

/// A copy of the shipped model without what changes its probabilities, or hides them: they are those of its last layer.
fn plain_copy(dir: &TempDir) -> String {
    let (card, safetensors) = read_model_folder(Path::new(SHIPPED)).expect("the shipped model");
    let plain = ModelCard { calibration: None, operating_points: None, uncertain: None, refusal: None, ..card };
    let mut weights = read_weights(&safetensors).expect("weights").0;
    weights.retain(|name, _| !name.starts_with(BESIDE));
    let weights: Vec<Weight> = weights
        .into_iter()
        .map(|(name, Tensor { shape, values })| Weight { name, shape, values, storage: Storage::F32 })
        .collect();
    let out = dir.path().join("plain");
    write_model_folder(&out, &plain, &write_weights(&weights).expect("a file"), Encoding::Identity).expect("a folder");
    "plain".into()
}

/// What `roentgen predict` gives a film, by class.
fn scores(dir: &TempDir, model: &str, film: &str) -> BTreeMap<String, f64> {
    let arguments = ["predict", "--json", "--model", model, film];
    let output = Command::new(env!("CARGO_BIN_EXE_roentgen")).current_dir(dir).args(arguments).output();
    let line: serde_json::Value = serde_json::from_slice(&output.expect("the binary starts").stdout).expect("JSON");
    serde_json::from_value(line["scores"].clone()).expect("scores")
}

/// Folders come in alphabetical order, which is not that of the model's outputs. A step too small to change anything makes a
/// model of what the run starts with.
#[test]
fn a_shipped_model_keeps_its_last_layer_for_its_own_classes_in_any_order_and_beside_a_new_one() {
    let dir = data_set();
    let split = |name: &str| dir.path().join("films").join(name);
    for (class, stream) in [("COVID-19", 1), ("Normal", 2), ("Viral Pneumonia", 3), ("Bacterial Pneumonia", 4)] {
        write_films(&split("train").join(class), stream % 2 == 0, 2, 100 * stream);
        write_films(&split("val").join(class), stream % 2 == 0, 1, 100 * stream + 50);
    }
    let plain = plain_copy(&dir);
    let arguments = format!(
        "--data films --init {plain} --freeze backbone --epochs 1 --steps-per-epoch 1 --batch-size 2 --learning-rate 1e-12"
    );
    let film = "films/val/Normal/film 0.png";
    let expected = scores(&dir, &plain, film);
    let only = |classes: &[&str]| classes.iter().map(|class| format!(" --only {class}*/*")).collect::<String>();

    // A space in an argument is one of the test's own: classes are found by their first word.
    let own = only(&["COVID", "Normal", "Viral", "Bacterial"]);
    let output = succeed(&dir, &format!("{arguments} --out same{own}"));
    let messages = String::from_utf8(output.stderr).expect("UTF-8");
    let kept = "keeps what the model knows of Bacterial Pneumonia, COVID-19, Normal, Viral Pneumonia.";
    assert!(messages.contains(kept) && !messages.contains("anew"), "{messages}");
    let found = scores(&dir, "same", film);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (class, score) in &expected {
        assert!((found[class] - score).abs() < 1e-4, "{class}: {}, not {score}", found[class]);
    }

    // With a fifth class the four are as likely beside each other as they were.
    let output = succeed(&dir, &format!("{arguments} --out more{own}{}", only(&["bright"])));
    let messages = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(messages.contains("It starts anew for bright."), "{messages}");
    let found = scores(&dir, "more", film);
    let of_the_four: f64 = expected.keys().map(|class| found[class]).sum();
    assert!(found.len() == 5 && found["bright"] > 0.0, "{found:?}");
    for (class, score) in &expected {
        let share = found[class] / of_the_four;
        assert!((share - score).abs() < 1e-4, "{class}: {share}, not {score}");
    }

    let output = succeed(&dir, &format!("{arguments} --out fewer{}", only(&["COVID", "Normal"])));
    let messages = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(messages.contains("The model also knows Viral Pneumonia, Bacterial Pneumonia"), "{messages}");
}
