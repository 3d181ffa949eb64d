//! What prompts ask of the camera: as people and language models write them, and as nothing must be read into them.

use leoma_core::quality::camera::{
    Asked,
    CameraMove::{self, *},
    Pace, words,
};
use proptest::prelude::*;

fn moves(prompt: &str) -> Vec<CameraMove> {
    words::read(prompt).iter().map(|asked| asked.movement).collect()
}

#[test]
fn camera_words_are_read() {
    let table: &[(&str, &[CameraMove])] = &[
        ("The camera pans left across the valley.", &[Left]),
        ("The camera slowly pans to the right.", &[Right]),
        ("Camera panning right over a crowded market", &[Right]),
        ("Pan left over the rooftops of an old town.", &[Left]),
        ("A mountain lake at dawn, camera pans from left to right.", &[Right]),
        ("The camera pans from the right to the left.", &[Left]),
        ("A slow pan left reveals a castle.", &[Left]),
        ("A busy street with a slow pan to the right.", &[Right]),
        ("The camera pans across the skyline.", &[Sideways]),
        ("The camera pans back and forth.", &[Sideways]),
        ("The camera tilts up to the top of the tower.", &[Up]),
        ("Tilt down from the sky to a busy harbour.", &[Down]),
        ("Slow zoom in on the woman's face.", &[In]),
        ("The camera zooms out to reveal the whole city.", &[Out]),
        ("A cat on a sofa. Zoom in.", &[In]),
        ("Zooming out from a flower in a meadow.", &[Out]),
        ("The camera gently pushes in on the old man.", &[In]),
        ("Slow push-in shot of a candle on a table.", &[In]),
        ("The camera pulls back to reveal a desert.", &[Out]),
        ("Pull out from the window.", &[Out]),
        ("Dolly in on a chess board.", &[In]),
        ("A smooth dolly out through the corridor.", &[Out]),
        ("The camera trucks left along the shelves.", &[Left]),
        ("The camera moves forward through a forest.", &[In]),
        ("The camera moves down the street.", &[Tracking]),
        ("The camera glides to the left past a row of columns.", &[Left]),
        ("The camera orbits around a statue.", &[Orbit]),
        ("An orbiting camera shows a sports car in a studio.", &[Orbit]),
        ("The camera circles the dancer.", &[Orbit]),
        ("A tracking shot of a cyclist on a mountain road.", &[Tracking]),
        ("The camera follows a red truck that turns left at the crossing.", &[Tracking]),
        ("The camera rises above the trees.", &[Up]),
        ("The camera cranes down to the water.", &[Down]),
        ("Three brass gears turn against each other on a board, static camera.", &[Static]),
        ("Locked-off shot of a waterfall.", &[Static]),
        ("A static wide shot of a beach.", &[Static]),
        ("The camera remains completely still while a man walks to the left.", &[Static]),
        ("Fixed camera: a dog chases its tail.", &[Static]),
        ("Tripod shot of a river.", &[Static]),
        ("People cross a square. No camera movement.", &[Static]),
        ("A child paints; the camera doesn't move.", &[Static]),
        ("The camera pans left and tilts up.", &[Left, Up]),
        ("The camera pans left, then zooms in on the door.", &[Left, In]),
        ("The camera first pans left, then pans right.", &[Sideways]),
        ("The camera is static at first and then zooms in.", &[In]),
        ("The camera does not zoom but pans left.", &[Left]),
        ("The camera not only pans left but also tilts down.", &[Left, Down]),
        ("As the camera pans right, a ship appears.", &[Right]),
        ("THE CAMERA PANS LEFT!", &[Left]),
        ("A wolf howls \u{2014} the camera\u{2019}s view pans up.", &[Up]),
        ("In this clip the camera tilts down.", &[Down]),
        ("We zoom in on a watch.", &[In]),
        ("A forest with the camera panning left.", &[Left]),
        ("camera pan left", &[Left]),
    ];
    let wrong: Vec<_> = table.iter().filter(|(prompt, want)| moves(prompt) != *want).collect();
    let found: Vec<_> = wrong.iter().map(|(prompt, _)| moves(prompt)).collect();
    assert!(wrong.is_empty(), "{wrong:#?} are read as {found:?}");
}

#[test]
fn nothing_is_read_into_other_words() {
    for prompt in [
        "",
        "waves",
        "A pan left on the stove begins to smoke.",
        "A frying pan left outside in the rain.",
        "The cook pans left over gravy.",
        "Peter Pan flies up to the moon.",
        "A hand tilts a dark bottle from side to side and moves it away from the camera in front of a wall.",
        "A man pushes in a chair and pulls back the curtain.",
        "Two men push in the crowd and one falls down.",
        "A girl carries her dolly in her arms.",
        "A dolly in a pink dress sits on a shelf.",
        "A red truck left the garage and turns right.",
        "Cars zoom past on a wet road.",
        "A woman looks into the camera and turns left.",
        "A man holds a camera and moves to the right.",
        "A tourist with a camera walks up the stairs.",
        "A security camera turns left on its mount.",
        "TV static on an old screen.",
        "A still life with fruit on a stationary cart.",
        "The mechanic fixed the door, it locked behind him.",
        "A satellite orbits the earth.",
        "An eagle circles around a peak.",
        "A view of boats that drift to the left.",
        "A shot of a truck driving left.",
        "A wide shot of a dancer turning right.",
        "The camera shows a boat drifting left.",
        "The camera sees a child who moves forward.",
        "The camera does not pan left.",
        "Without zooming in or panning left, a face fills the picture.",
        "The camera never zooms in and never tilts up.",
        "A dog follows its owner; a train tracks through the hills.",
        "A photographer with a tripod tilts his head up.",
        "The man does not move toward the camera.",
        "No one moves. Leaves fall.",
        "A crane lifts a container up.",
        "Birds rise from the lake and descend on the field.",
        "\u{1f3a5} \u{4f60}\u{597d} -- '' ' n't ,,, and and or",
    ] {
        assert_eq!(moves(prompt), [], "{prompt}");
    }
}

#[test]
fn words_of_pace_belong_to_the_movement_beside_them() {
    let of = |prompt: &str| words::read(prompt);
    assert_eq!(of("The camera slowly pans left."), [Asked { movement: Left, pace: Pace::Slow }]);
    assert_eq!(of("A whip pan right to the door."), [Asked { movement: Right, pace: Pace::Fast }]);
    assert_eq!(
        of("The camera pans left over slowly rising and falling waves."),
        [Asked { movement: Left, pace: Pace::Plain }]
    );
}

proptest! {
    #[test]
    fn any_text_is_read(text in "\\PC{0,200}", mixed in prop::collection::vec(prop::sample::select(vec!["camera", "the", "pan", "pans", "left", "not", "and", ",", ".", "from", "to", "zoom", "in", "static", "n't", "-", "toward", "while"]), 0..60)) {
        let all = [moves(&text), moves(&mixed.join(" "))].concat();
        prop_assert!(all.len() <= 22);
    }
}

#[test]
fn a_long_prompt_is_cut_and_not_slow() {
    let long = "and the camera pans left or ".repeat(200_000);
    assert!(moves(&long).contains(&Left));
}
