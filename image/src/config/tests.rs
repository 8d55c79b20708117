use super::*;

fn parse(text: &str) -> String {
    format!("{:#}", toml::from_str::<Layer>(text).unwrap_err())
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn the_configs_of_this_repository_are_valid_on_every_board_and_base() {
    let mut targets = Vec::new();
    for board in ["rpi-arm64", "rpi5-arm64"] {
        for base in ["debian", "raspios"] {
            let configs = Configs::load_for(top(), Some(board), Some(base)).unwrap();
            targets.push(configs.target());
        }
    }
    assert_eq!(
        targets,
        [
            "rpi-arm64",
            "rpi-arm64-raspios",
            "rpi5-arm64",
            "rpi5-arm64-raspios"
        ]
    );
}

#[test]
fn without_a_choice_it_is_the_pi_4_on_debian_with_debians_archive_alone() {
    let configs = Configs::load(top()).unwrap();
    assert_eq!(configs.target(), "rpi-arm64");
    assert!(configs.extra_archives().unwrap().is_empty());
    assert_eq!(
        configs.on_base().unwrap().lock,
        Path::new("configs/lock.toml")
    );
}

#[test]
fn a_base_or_board_that_is_not_there_is_said_with_those_that_are() {
    let said = |board, base| {
        Configs::load_for(top(), board, base)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        said(None, Some("fedora")),
        "--base is \"fedora\", accepted: debian, raspios"
    );
    assert_eq!(
        said(Some("pi6"), None),
        "--board is \"pi6\", accepted: rpi-arm64, rpi5-arm64"
    );
}

#[test]
fn a_board_that_a_base_knows_nothing_of_is_refused() {
    let mut configs = Configs::load_for(top(), None, Some("raspios")).unwrap();
    configs.board.base.remove("raspios");
    configs.board.firmware.retain(|file| file.base.is_none());
    let error = configs.check().unwrap_err().to_string();
    assert!(
        error.contains("rpi-arm64.toml: base.raspios is missing") && error.ends_with("debian"),
        "{error}"
    );
}

#[test]
fn an_unknown_key_names_its_line() {
    let error = parse("name = \"x\"\nwhy = \"y\"\npackges = []\n");
    assert!(
        error.contains("packges") && error.contains("line 3"),
        "{error}"
    );
}

#[test]
fn a_layer_that_requires_what_nothing_provides_is_refused() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut configs = Configs::load(top).unwrap();
    configs.layers[0].requires.push("coffee".into());
    let error = configs.check().unwrap_err().to_string();
    assert!(
        error.contains("base.toml") && error.contains("coffee"),
        "{error}"
    );
}
