//! `roentgen card`: what a model says of itself, told, counted and printed.

use std::fs;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::common::{BAND_GREYS, BANDS, bands_model, brightness_model, grey_film, roentgen, text};

#[test]
fn the_markdown_has_everything_that_was_told_measured_and_decided() {
    let dir = tempdir().unwrap();
    let model = bands_model(dir.path());
    let films = dir.path().join("films");
    let mut manifest = "path,group,source\n".to_owned();
    for (class, grey) in BANDS.iter().zip(BAND_GREYS) {
        for split in ["train", "val", "test"] {
            for i in 0..20 {
                let name = format!("{split}/{class}/{i}.png");
                grey_film(&films.join(&name), grey + i);
                manifest +=
                    &format!("{name},{split} {class} {},{}\n", i / 2, if i % 2 == 0 { "north" } else { "south" });
            }
        }
    }
    grey_film(&films.join("train/Other/1.png"), 100);
    fs::write(films.join("manifest.csv"), manifest).unwrap();
    let (model, films) = (model.to_str().unwrap(), films.to_str().unwrap());
    let run = |args: &[&str]| {
        let output = roentgen(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout).to_owned()
    };
    run(&["calibrate", "--model", model, "--data", films]);
    let measured = dir.path().join("evaluation.json");
    run(&["evaluate", "--model", model, "--data", films, "--json", measured.to_str().unwrap()]);
    run(&["audit", "--model", model, "--data", films]);
    let told = dir.path().join("told.json");
    let description = json!({
        "summary": ["It is right on greys.", "It is wrong on colours.", "Adapt it there."],
        "groups": {"Pneumonia of a known kind": ["Viral Pneumonia", "Bacterial Pneumonia"]},
        "misuse": ["Deciding who is treated."],
        "data": {
            "sources": [{"name": "north", "description": "A hospital | in the north.", "licence": "CC BY 4.0"}],
            "split": "By patient.", "confounders": ["Age."]
        },
        "ablation": [
            {"measure": "no blur", "results": {"accuracy": "91.0 %"}},
            {"measure": "blur", "results": {"accuracy": "92.0 %", "loss": "0.1"}},
            {"measure": "blur", "results": {"AUROC in the south": "0.7"}}
        ]
    });
    fs::write(&told, description.to_string()).unwrap();
    let evaluation = format!("bands={}", measured.display());
    let told = told.to_str().unwrap();
    run(&["card", "--model", model, "--evaluation", &evaluation, "--describe", told, "--films", films]);

    let card: Value = serde_json::from_slice(&fs::read(format!("{model}/model.json")).unwrap()).unwrap();
    let counts = card["data"]["counts"].as_array().unwrap();
    // Five classes from two sources in three parts, and the folder that is no class.
    assert_eq!(counts.len(), 5 * 2 * 3 + 1);
    assert!(counts.contains(&json!({"split": "val", "class": "Mass", "source": "south", "films": 10})));
    assert!(counts.contains(&json!({"split": "train", "class": "Other", "source": "unknown", "films": 1})));

    let before = fs::read(format!("{model}/model.json")).unwrap();
    let markdown = run(&["card", "--model", model, "--markdown"]);
    assert_eq!(fs::read(format!("{model}/model.json")).unwrap(), before, "printing writes nothing");
    for expected in [
        "# Brightness, version 1",
        "- It is right on greys.\n- It is wrong on colours.\n- Adapt it there.\n\n## What it is for",
        "| the answer | validation | bands, test |",
        "| holds the right class | 100.0 % (100.0–100.0 %) | 100.0 % (100.0–100.0 %) |",
        "| of Mass, south | 100.0 % (",
        "A set with Normal and another class is \"cannot tell\".",
        "## What it must not be used for\n\n- Deciding who is treated.",
        "| north | A hospital \\| in the north. | CC BY 4.0 |",
        "| Mass | south | 10 | 10 | 10 |",
        "- Age.",
        "### bands, test",
        "100 films: 100.0 % right, 95 % interval 96.3–100.0 % by film, 100.0–100.0 % by patient.",
        "| Mass, from ",
        "## Does it look at the lungs?\n\n**This model still works with the lungs masked out**",
        "AUROC Normal / Mass, south only",
        "| measure | accuracy | loss |\n| --- | --- | --- |\n| no blur | 91.0 % | – |\n| blur | 92.0 % | 0.1 |\n\n| measure |",
        "| blur | 0.7 |",
        "SHA-256 `",
    ] {
        assert!(markdown.contains(expected), "{expected} is not in\n{markdown}");
    }
}

#[test]
fn a_description_that_makes_no_sense_is_one_line_and_changes_nothing() {
    let dir = tempdir().unwrap();
    let model = brightness_model(dir.path());
    let before = fs::read(model.join("model.json")).unwrap();
    let told = dir.path().join("told.json");
    for (description, expected) in [
        ("{\"metrics\": []}", "unknown field `metrics`"),
        ("{\"misuse\": 7}", "invalid type"),
        ("{\"groups\": {\"Sick\": [\"Mass\", \"Normal\"]}}", "\"Mass\", which is no class"),
        ("[", "EOF"),
        ("{\"intended_use\": \" \"}", "`intended_use` is empty"),
    ] {
        fs::write(&told, description).unwrap();
        let output = roentgen(["card", "--model", model.to_str().unwrap(), "--describe", told.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{description}");
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with("error: ") && stderr.contains(expected) && stderr.lines().count() == 1, "{stderr}");
        assert_eq!(fs::read(model.join("model.json")).unwrap(), before);
    }
    let output = roentgen(["card", "--model", model.to_str().unwrap(), "--films", dir.path().to_str().unwrap()]);
    assert!(text(&output.stderr).contains("no train, val or test folder"), "{}", text(&output.stderr));
}
