//! `roentgen summary` against the tutorial's printed layer table.

use serde_json::Value;

use crate::common::{roentgen, text};

/// The figures of the tutorial's `model.summary()`: 2,432 + 51,264 + 27,558,400 + 1,026 = 27,613,122.
#[test]
fn summary_has_the_tutorials_figures() {
    let output = roentgen(["summary", "--arch", "scratch-cnn"]);
    assert_eq!(output.status.code(), Some(0));
    let table = text(&output.stdout);
    for expected in [
        "[n, 32, 124, 124]",
        "[n, 64, 29, 29]",
        "[n, 53824]",
        " 2,432\n",
        " 51,264\n",
        " 27,558,400\n",
        " 1,026\n",
        "Total params: 27,613,122",
    ] {
        assert!(table.contains(expected), "{expected:?} is not in\n{table}");
    }
}

#[test]
fn json_and_another_number_of_classes() {
    let output = roentgen(["summary", "--arch", "scratch-cnn", "--classes", "4", "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["parameters"], 27_613_122 + 2 * 513);
    assert_eq!(json["layers"][0]["parameters"], 2_432);
}

#[test]
fn an_unknown_network_is_refused_with_the_known_ones() {
    let output = roentgen(["summary", "--arch", "resnet-50"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("scratch-cnn"));
}
