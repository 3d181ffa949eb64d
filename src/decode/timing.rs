//! Gate G10 as arithmetic: a constant rate, and edit lists that change nothing.
//!
//! All comparisons are exact integers; a *tick* is one unit of the stream's time base.

/// Time base in seconds: `numerator / denominator` seconds per tick.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TimeBase {
    pub(super) numerator: u32,
    pub(super) denominator: u32,
}

impl TimeBase {
    /// `ticks` in microseconds, rounded to the nearest, half away from zero.
    pub(super) fn micros(self, ticks: i64) -> i64 {
        let scaled = i128::from(ticks) * i128::from(self.numerator) * 1_000_000;
        let half = i128::from(self.denominator) / 2 * scaled.signum();
        ((scaled + half) / i128::from(self.denominator.max(1))) as i64
    }
}

/// One entry of an edit list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Edit {
    /// Length in movie ticks; 0 means the rest of the track.
    pub(super) duration: u64,
    /// Where in the track it starts, in media ticks; -1 shows nothing.
    pub(super) media_time: i64,
    /// Playback rate, 16.16 fixed point.
    pub(super) rate_16_16: u32,
}

/// A track's edit list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct EditList {
    /// Ticks per second of [`Edit::duration`].
    pub(super) movie_timescale: u32,
    /// Ticks per second of [`Edit::media_time`].
    pub(super) media_timescale: u32,
    /// The entries.
    pub(super) edits: Vec<Edit>,
}

/// Why a clip's times do not show every frame once, in order, at the asked rate (gate G10).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum TimingFault {
    #[error("a frame has no presentation time")]
    NoTime,
    #[error("frame {} is shown at tick {before} and frame {frame} at {at}: times must rise", frame - 1)]
    NotRising { frame: usize, before: i64, at: i64 },
    #[error("step of {step} ticks of {}/{} s before frame {frame}: {fps} frames per second asked", base.numerator, base.denominator)]
    Step { frame: usize, step: i128, base: TimeBase, fps: u32 },
    #[error("frame {frame} is more than one tick away from {frame}/{fps} s: the rate drifts")]
    Drift { frame: usize, fps: u32 },
    #[error("edit list with {0} entries repeats or leaves out parts")]
    EditCount(usize),
    #[error("edit list plays at rate {0:#x} / 0x10000: only 1 is allowed")]
    EditRate(u32),
    #[error("edit list starts at tick {start}, after the first frame at {first}")]
    EditStart { start: i64, first: i64 },
    #[error("edit list ends before the last frame at tick {last}")]
    EditEnd { last: i64 },
}

const RATE_ONE: u32 = 0x1_0000;

/// Checks that presentation times rise strictly and keep to `fps`.
///
/// Every step is within one tick of `1 / fps` and within a quarter of a frame (so that a coarse
/// time base is no licence), and no frame is more than one tick away from where its index puts it.
/// `fps` is at most 1000 (the request is checked), so that nothing here overflows.
pub(super) fn check_constant_rate(times: &[i64], base: TimeBase, fps: u32) -> Result<(), TimingFault> {
    // In units of 1 / (fps * denominator) seconds: one tick is `tick`, one frame is `frame`.
    let tick = i128::from(base.numerator) * i128::from(fps);
    let frame = i128::from(base.denominator);
    let Some(&origin) = times.first() else { return Ok(()) };
    for (index, pair) in times.windows(2).enumerate() {
        let step = i128::from(pair[1]) - i128::from(pair[0]);
        if step <= 0 {
            return Err(TimingFault::NotRising { frame: index + 1, before: pair[0], at: pair[1] });
        }
        let off = (step * tick - frame).abs();
        if off > tick || off * 4 > frame {
            return Err(TimingFault::Step { frame: index + 1, step, base, fps });
        }
        let drift = (i128::from(pair[1]) - i128::from(origin)) * tick - (index as i128 + 1) * frame;
        if drift.abs() > tick {
            return Err(TimingFault::Drift { frame: index + 1, fps });
        }
    }
    Ok(())
}

/// Checks that an edit list shows every frame once, in order, at its own rate.
///
/// Allowed: no entry; one leading empty edit (a start delay); one entry that starts at or before
/// the first frame's time (what every encoder writes for its B-frame delay) and ends no earlier
/// than the middle of the last frame, up to one movie tick of rounding. `first` and `last` are the
/// first and last frame's times in media ticks.
pub(super) fn check_edit_list(list: &EditList, first: i64, last: i64, fps: u32) -> Result<(), TimingFault> {
    let mut edits = list.edits.as_slice();
    if let [delay, rest @ ..] = edits
        && delay.media_time == -1
        && !rest.is_empty()
    {
        edits = rest;
    }
    let edit = match edits {
        [] => return Ok(()),
        [edit] if edit.media_time >= 0 => edit,
        _ => return Err(TimingFault::EditCount(list.edits.len())),
    };
    if edit.rate_16_16 != RATE_ONE {
        return Err(TimingFault::EditRate(edit.rate_16_16));
    }
    if edit.media_time > first.saturating_add(1) {
        return Err(TimingFault::EditStart { start: edit.media_time, first });
    }
    if edit.duration == 0 {
        return Ok(());
    }
    // In units of 1 / (2 * fps * movie * media) seconds.
    let (movie, media) = (i128::from(list.movie_timescale), i128::from(list.media_timescale));
    let per_media_tick = 2 * i128::from(fps) * movie;
    let end = i128::from(edit.media_time) * per_media_tick
        + i128::from(edit.duration) * 2 * i128::from(fps) * media;
    let rounding = 2 * i128::from(fps) * media;
    let middle_of_last = i128::from(last) * per_media_tick + movie * media;
    if end + rounding < middle_of_last {
        return Err(TimingFault::EditEnd { last });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MILLI: TimeBase = TimeBase { numerator: 1, denominator: 1000 };
    const FINE: TimeBase = TimeBase { numerator: 1, denominator: 16_384 };

    fn webm_times(frames: i64) -> Vec<i64> {
        (0..frames).map(|i| (i * 125 + 1) / 2).collect() // 62.5 ms, rounded
    }

    #[test]
    fn webm_ticks_and_exact_ticks_pass() {
        let times = webm_times(81);
        assert!(times.windows(2).any(|p| p[1] - p[0] == 62) && times.windows(2).any(|p| p[1] - p[0] == 63));
        assert_eq!(check_constant_rate(&times, MILLI, 16), Ok(()));
        let exact: Vec<i64> = (0..81).map(|i| 2048 + i * 1024).collect();
        assert_eq!(check_constant_rate(&exact, FINE, 16), Ok(()));
    }

    #[test]
    fn repeats_jumps_other_rates_and_drift_are_refused() {
        for times in [vec![0, 1024, 1024], vec![0, 1024, 512], vec![0, 1024, 3072], vec![0, 512, 1024]] {
            assert!(check_constant_rate(&times, FINE, 16).is_err(), "{times:?}");
        }
        let drifting: Vec<i64> = (0..81).map(|i| i * 63).collect();
        assert!(
            check_constant_rate(&drifting, MILLI, 16).expect_err("drifts").to_string().contains("drifts")
        );
        // One tick of 1/16 s is a whole frame: no licence to double it.
        let coarse = TimeBase { numerator: 1, denominator: 16 };
        assert_eq!(check_constant_rate(&[0, 1, 2], coarse, 16), Ok(()));
        assert!(check_constant_rate(&[0, 1, 3], coarse, 16).is_err());
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let base = TimeBase { numerator: u32::MAX, denominator: u32::MAX };
        assert!(check_constant_rate(&[i64::MIN, i64::MAX], base, 1000).is_err());
        assert!(check_constant_rate(&[0, 1], TimeBase { numerator: 0, denominator: 1 }, 16).is_err());
    }

    fn list(edits: &[(u64, i64, u32)]) -> EditList {
        let edit = |&(duration, media_time, rate_16_16): &_| Edit { duration, media_time, rate_16_16 };
        EditList { movie_timescale: 1000, media_timescale: 16_384, edits: edits.iter().map(edit).collect() }
    }

    /// Nine frames at 16 fps from tick 2048: the last is shown at 10240 until 11264.
    fn judge(edits: &[(u64, i64, u32)]) -> Result<(), TimingFault> {
        check_edit_list(&list(edits), 2048, 10_240, 16)
    }

    #[test]
    fn edit_lists_that_change_nothing_pass() {
        for edits in [
            &[][..],
            &[(563, 2048, RATE_ONE)], // what ffmpeg writes: 562.5 ms rounded up
            &[(562, 2048, RATE_ONE)], // or down
            &[(0, 2048, RATE_ONE)],   // fragmented: open end
            &[(688, 0, RATE_ONE)],    // starts before the first frame
            &[(125, -1, RATE_ONE), (563, 2048, RATE_ONE)], // start delay
        ] {
            assert_eq!(judge(edits), Ok(()), "{edits:?}");
        }
    }

    #[test]
    fn edit_lists_that_trim_repeat_or_change_the_rate_are_refused() {
        for edits in [
            &[(500, 3072, RATE_ONE)][..],                           // first frame gone
            &[(500, 2048, RATE_ONE)],                               // last frame gone
            &[(563, 2048, RATE_ONE), (563, 2048, RATE_ONE)],        // shown twice
            &[(100, 2048, RATE_ONE), (-1i64 as u64, -1, RATE_ONE)], // hole
            &[(563, 2048, 0x2_0000)],                               // double speed
            &[(563, 2048, 0)],                                      // dwell
            &[(563, -1, RATE_ONE)],                                 // shows nothing
        ] {
            assert!(judge(edits).is_err(), "{edits:?}");
        }
    }

    #[test]
    fn micros_round_to_the_nearest() {
        assert_eq!(FINE.micros(1024), 62_500);
        assert_eq!(TimeBase { numerator: 1, denominator: 30_000 }.micros(1001), 33_367);
    }

    proptest! {
        #[test]
        fn any_muxer_that_rounds_each_time_passes(fps in 1u32..61, ticks_per_frame in 8u32..4000, frames in 2i64..100) {
            // A denominator that is no multiple of fps, with at least eight ticks to a frame.
            let denominator = i64::from(fps * ticks_per_frame + 1);
            let times: Vec<i64> = (0..frames)
                .map(|i| (2 * i * denominator + i64::from(fps)) / (2 * i64::from(fps)))
                .collect();
            let base = TimeBase { numerator: 1, denominator: denominator as u32 };
            prop_assert_eq!(check_constant_rate(&times, base, fps), Ok(()));
        }

        #[test]
        fn a_doubled_or_dropped_frame_never_passes(at in 1usize..80) {
            let mut times: Vec<i64> = (0..82).map(|i| i * 1024).collect();
            times.remove(at);
            prop_assert!(check_constant_rate(&times, FINE, 16).is_err());
        }

        #[test]
        fn edit_lists_never_panic(duration: u64, media_time: i64, rate: u32, first: i64, last: i64) {
            let _ = check_edit_list(&list(&[(duration, media_time, rate)]), first, last, 16);
        }
    }
}
