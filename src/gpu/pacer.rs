//! How much work goes into one submission: desktop drivers reset a device whose dispatch runs long, so submissions are
//! cut by the time that earlier ones took.

use std::{collections::BTreeMap, time::Duration};

use super::shader::Kernel;

/// A submission is filled up to this.
const TARGET: Duration = Duration::from_millis(20);

/// Measured cost of a workgroup, by kernel.
#[derive(Default, Debug)]
pub(crate) struct Pacer {
    nanoseconds: BTreeMap<Kernel, f64>,
}

/// What a submission holds.
#[derive(Default, Debug)]
pub(crate) struct Load {
    groups: BTreeMap<Kernel, u64>,
    predicted: f64,
}

impl Pacer {
    /// How many of `layers` layers of `groups` workgroups still fit into a submission; zero when it should go first.
    /// A kernel that was never measured goes alone, one layer of it.
    pub fn fit(&self, load: &Load, kernel: Kernel, groups: u64, layers: u32) -> u32 {
        let Some(cost) = self.nanoseconds.get(&kernel) else {
            return u32::from(load.groups.is_empty());
        };
        let room = TARGET.as_nanos() as f64 - load.predicted;
        let fits = (room / (cost * groups as f64).max(1.0)).floor();
        // One layer always goes: a layer is one frame's work, and cannot be cut.
        let least = if load.groups.is_empty() { 1.0 } else { 0.0 };
        fits.clamp(least, f64::from(layers)) as u32
    }

    /// Counts workgroups into a submission.
    pub fn add(&self, load: &mut Load, kernel: Kernel, groups: u64) {
        *load.groups.entry(kernel).or_default() += groups;
        load.predicted += self.nanoseconds.get(&kernel).copied().unwrap_or(0.0) * groups as f64;
    }

    /// Learns from a submission that took `time`.
    pub fn learn(&mut self, load: &Load, time: Duration) {
        let took = time.as_nanos() as f64;
        for (&kernel, &groups) in &load.groups {
            match self.nanoseconds.get_mut(&kernel) {
                None => {
                    self.nanoseconds.insert(kernel, took / groups as f64);
                }
                // Half of the way to what was seen: one slow submission does not cut all later ones to shreds.
                Some(cost) if load.predicted > 0.0 => {
                    *cost *= (1.0 + (took / load.predicted).clamp(0.25, 4.0)) / 2.0;
                }
                Some(_) => {}
            }
        }
    }
}

impl Load {
    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kernel_goes_alone_and_a_known_one_fills_the_target() {
        let mut pacer = Pacer::default();
        let mut load = Load::default();
        assert_eq!(pacer.fit(&load, Kernel::Ssim, 10, 80), 1);
        pacer.add(&mut load, Kernel::Ssim, 10);
        assert_eq!(pacer.fit(&load, Kernel::Ssim, 10, 79), 0, "measure the first layer before the next");
        pacer.learn(&load, Duration::from_millis(1));
        let mut load = Load::default();
        assert_eq!(pacer.fit(&load, Kernel::Ssim, 10, 80), 20);
        assert_eq!(pacer.fit(&load, Kernel::Ssim, 10, 7), 7);
        pacer.add(&mut load, Kernel::Ssim, 150);
        assert_eq!(pacer.fit(&load, Kernel::Ssim, 10, 80), 5);
        pacer.add(&mut load, Kernel::Ssim, 50);
        assert_eq!(pacer.fit(&load, Kernel::Ssim, 10, 80), 0);
    }

    #[test]
    fn slow_submissions_make_the_next_ones_smaller_and_a_layer_always_goes() {
        let mut pacer = Pacer::default();
        let mut load = Load::default();
        pacer.add(&mut load, Kernel::Sum, 1);
        pacer.learn(&load, Duration::from_millis(1));
        let mut slow = Load::default();
        pacer.add(&mut slow, Kernel::Sum, 20);
        pacer.learn(&slow, Duration::from_millis(80));
        assert!(pacer.fit(&Load::default(), Kernel::Sum, 1, 80) < 20);
        assert_eq!(pacer.fit(&Load::default(), Kernel::Sum, 1_000_000, 80), 1);
    }
}
