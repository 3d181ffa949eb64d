use proptest::prelude::*;
use serde_json::json;

use super::*;

fn file(sha256: &str, size: u64) -> WeightFile {
    WeightFile { name: format!("{sha256}.safetensors"), sha256: sha256.into(), size }
}

#[test]
fn shared_bytes_are_counted_by_digest_against_the_smaller_model() {
    let model = [file("a", 60), file("b", 40)];
    assert_eq!(shared_percent(&model, &model), 100);
    assert_eq!(shared_percent(&model, &[file("a", 60), file("c", 40)]), 60);
    assert_eq!(
        shared_percent(&model, &[file("a", 60), file("b", 40), file("junk", 10_000)]),
        100,
        "added bytes hide nothing"
    );
    assert_eq!(shared_percent(&[file("a", 60), file("a", 60)], &[file("a", 60)]), 100);
    assert_eq!(shared_percent(&model, &[]), 0);
    assert_eq!(shared_percent(&[file("a", 0)], &[file("a", 0)]), 0);
    assert_eq!(
        shared_percent(
            &[file("a", u64::MAX), file("b", u64::MAX)],
            &[file("a", u64::MAX), file("b", u64::MAX)]
        ),
        100
    );
}

fn header(table: &serde_json::Value) -> Vec<u8> {
    table.to_string().into_bytes()
}

fn read(table: &serde_json::Value, size: u64) -> Result<Vec<Tensor>, HeaderError> {
    read_header(&header(table), 3, size)
}

#[test]
fn a_header_is_read_and_a_lie_in_it_is_not_believed() {
    let table = json!({"__metadata__": {"format": "pt"}, "w": {"dtype": "BF16", "shape": [4, 8], "data_offsets": [0, 64]}});
    let begin = 8 + header(&table).len() as u64;
    let tensors = read(&table, begin + 64).expect("a header");
    let kind = TensorKind { name: "w".into(), dtype: "BF16".into(), shape: vec![4, 8] };
    assert_eq!(tensors, [Tensor { kind, file: 3, at: begin..begin + 64 }]);
    assert_eq!(read(&table, begin + 63), Err(HeaderError::Place("w".into())), "beyond the file's end");
    for offsets in [json!([0, 62]), json!([64, 0]), json!([0, u64::MAX]), json!([u64::MAX, u64::MAX])] {
        let table = json!({"w": {"dtype": "BF16", "shape": [4, 8], "data_offsets": offsets}});
        assert_eq!(read(&table, u64::MAX), Err(HeaderError::Place("w".into())), "{table}");
    }
    for table in
        [json!([]), json!({"w": 1}), json!({"w": {"dtype": "BF16", "shape": [-1], "data_offsets": [0, 0]}})]
    {
        assert!(matches!(read(&table, 1 << 20), Err(HeaderError::Json(_))), "{table}");
    }
    assert_eq!(header_length(9_u64.to_le_bytes(), 17), Ok(9));
    assert_eq!(header_length(9_u64.to_le_bytes(), 16), Err(HeaderError::Length(9)));
    assert_eq!(header_length([255; 8], u64::MAX), Err(HeaderError::Length(u64::MAX)));
}

fn tensor(name: &str, length: u64) -> Tensor {
    let kind = TensorKind { name: name.into(), dtype: "BF16".into(), shape: vec![length / 2] };
    Tensor { kind, file: 0, at: 1000..1000 + length }
}

fn model(count: u64) -> Vec<Tensor> {
    (0..count).map(|index| tensor(&format!("block.{index}.weight"), 1 << 20)).collect()
}

#[test]
fn slices_follow_the_seed_lie_inside_and_are_the_same_in_both_models() {
    let (tensors, seed) = (model(40), BlockHash([7; 32]));
    let chosen = choose_slices(&tensors, &seed);
    assert_eq!(chosen.len(), SLICES);
    for slice in &chosen {
        assert!(slice.at.start >= 1000 && slice.at.end <= 1000 + (1 << 20));
        assert_eq!(slice.at.end - slice.at.start, SLICE_BYTES);
    }
    let mut turned = tensors.clone();
    turned.reverse();
    assert_eq!(choose_slices(&turned, &seed), chosen);
    assert_ne!(choose_slices(&tensors, &BlockHash([8; 32])), chosen);
    let mut padded = tensors;
    padded.extend((0..2_000).map(|index| tensor(&format!("junk.{index}"), SLICE_BYTES)));
    let kept = choose_slices(&padded, &seed);
    let common = kept.iter().filter(|slice| chosen.contains(slice)).count();
    assert!(common * 2 > SLICES, "{common}: 2000 small tensors, 8 MiB, drive out less than half");
    assert!(choose_slices(&[tensor("small", SLICE_BYTES - 2)], &seed).is_empty());
}

/// A sample whose numbers are noise of a seed, moved by another noise of a relative size.
fn sample(seed: u64, moved: f32, of: u64) -> WeightSample {
    let noise = |seed: u64, index: u64| {
        let mut mixed =
            seed.wrapping_mul(0x9e37_79b9).wrapping_add(index).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^= mixed >> 29;
        (mixed.wrapping_mul(0x94d0_49bb_1331_11eb) >> 40) as f32 / (1_u64 << 24) as f32 - 0.5
    };
    let slice = |slice: u64| {
        let number = |index: u64| {
            let at = slice * 10_000 + index;
            bf16::from_f32(noise(seed, at) * (1.0 + moved * noise(of, at))).to_le_bytes()
        };
        Bytes::from_iter((0..SLICE_BYTES / 2).flat_map(number))
    };
    WeightSample {
        slices: (0..16).map(|index| (tensor(&index.to_string(), 1 << 20).kind, slice(index))).collect(),
    }
}

#[test]
fn a_trifle_of_noise_is_a_copy_and_training_is_not() {
    let original = sample(1, 0.0, 0);
    let verdict = |other: &WeightSample| {
        let seen = original.compare(other);
        assert_eq!((seen, other.compare(&original)), (seen, seen), "neither is the first");
        seen.is_copy()
    };
    assert!(verdict(&original));
    assert!(!verdict(&sample(2, 0.0, 0)), "another model");
    // Every weight moved by up to two percent of itself: a light fine-tune.
    assert!(!verdict(&sample(1, 0.04, 5)));
    // One weight of each slice by one step: all digests differ.
    let mut evading = original.clone();
    for slice in evading.slices.values_mut() {
        let mut bytes = slice.to_vec();
        bytes[100] ^= 1;
        *slice = bytes.into();
    }
    assert_ne!(evading, original);
    assert!(verdict(&evading), "{:?}", original.compare(&evading));
    // One slice of sixteen trained, or replaced.
    let mut partly = original.clone();
    partly.slices.extend(sample(3, 0.0, 0).slices.into_iter().take(1));
    assert!(verdict(&partly));
    partly.slices.extend(sample(3, 0.0, 0).slices.into_iter().take(6));
    assert!(!verdict(&partly), "a shared text encoder under a trained transformer");
    // Three slices in common of sixteen.
    let few = WeightSample { slices: original.slices.clone().into_iter().take(3).collect() };
    assert!(!verdict(&few));
    assert!(!WeightSample::default().compare(&WeightSample::default()).is_copy());
}

#[test]
fn formats_are_read_as_they_are_and_what_is_no_number_is_like_nothing() {
    let f32s = |values: [f32; 2]| values.map(f32::to_le_bytes).concat();
    assert_eq!(unlike_ppb("F32", &f32s([1.0, 0.0]), &f32s([0.0, 1.0])), Some(1_000_000_000));
    assert_eq!(unlike_ppb("F32", &f32s([1.0, 2.0]), &f32s([-1.0, -2.0])), Some(2_000_000_000));
    assert_eq!(unlike_ppb("F32", &f32s([1.0, 2.0]), &f32s([1.5, 3.0])), Some(0), "scaled");
    assert_eq!(unlike_ppb("F32", &f32s([1.0, f32::NAN]), &f32s([1.0, 2.0])), None);
    assert_eq!(unlike_ppb("F32", &f32s([0.0, 0.0]), &f32s([1.0, 2.0])), None);
    assert_eq!(unlike_ppb("F32", &f32s([f32::NAN, 1.0]), &f32s([f32::NAN, 1.0])), Some(0), "equal bytes");
    let halves = |one: f32, other: f32| {
        [f16::from_f32(one).to_le_bytes(), f16::from_f32(other).to_le_bytes()].concat()
    };
    assert_eq!(unlike_ppb("F16", &halves(1.0, 1.0), &halves(1.0, -1.0)), Some(1_000_000_000));
    assert_eq!(unlike_ppb("I8", &[1, 0xff], &[1, 1]), Some(1_000_000_000));
    assert_eq!(unlike_ppb("BF16", &[], &[1]), None);
}

proptest! {
    #[test]
    fn any_header_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), size: u64) {
        let _ = read_header(&bytes, 0, size);
    }

    #[test]
    fn no_slice_leaves_its_tensor(
        lengths in prop::collection::vec(0_u64..40_000, 0..40), seed: [u8; 32], begin in 0_u64..1 << 40,
    ) {
        let tensors: Vec<_> = lengths.iter().enumerate().map(|(index, length)| {
            Tensor { at: begin..begin + length, ..tensor(&index.to_string(), *length) }
        }).collect();
        for slice in choose_slices(&tensors, &BlockHash(seed)) {
            let of = tensors.iter().find(|tensor| tensor.kind == slice.kind).expect("one of them");
            prop_assert!(slice.at.start >= of.at.start && slice.at.end <= of.at.end);
            prop_assert_eq!((slice.at.start - of.at.start) % 8, 0, "numbers are not cut");
        }
    }
}
