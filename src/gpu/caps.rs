//! What an adapter must be able to do, and what more of it is used for speed.

use serde::Serialize;

use super::error::DeviceError;

/// Largest storage binding that is asked for where an adapter has more than WebGPU's default.
const LARGE_BINDING: u64 = 1 << 30;

/// How much of an adapter is used. Results are the same in every tier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// WebGPU's default limits: storage bindings of 128 MiB, long clips in windows.
    Baseline,
    /// Larger bindings: fewer windows.
    Large,
}

/// The limits that a device is opened with.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// The tier.
    pub tier: Tier,
    /// Limits to ask for.
    pub limits: wgpu::Limits,
}

impl Capabilities {
    /// Reads an adapter's limits; `most` is the highest tier to use.
    ///
    /// # Errors
    /// `DeviceError::Unsuitable` when the adapter stays below one of WebGPU's default limits that kernels use.
    pub fn of(adapter: &wgpu::Adapter, most: Tier) -> Result<Self, DeviceError> {
        let (has, default) = (adapter.limits(), wgpu::Limits::default());
        let lacks = lacks(&has, &default);
        if !lacks.is_empty() {
            return Err(DeviceError::Unsuitable { adapter: adapter.get_info().name, lacks });
        }
        // Kernels use no texture: an adapter may have less of those.
        let mut limits = default.clone().or_worse_values_from(&has);
        let large = has.max_storage_buffer_binding_size.min(has.max_buffer_size).min(LARGE_BINDING);
        let grows = large > default.max_storage_buffer_binding_size;
        let tier = if grows { Tier::Large.min(most) } else { Tier::Baseline };
        if tier == Tier::Large {
            limits.max_storage_buffer_binding_size = large;
            limits.max_buffer_size = limits.max_buffer_size.max(large);
        }
        Ok(Self { tier, limits })
    }
}

/// Names of the compute limits of which there is too little.
fn lacks(has: &wgpu::Limits, wanted: &wgpu::Limits) -> String {
    macro_rules! compare {
        ($($limit:ident),+) => {
            [$((stringify!($limit), u64::from(has.$limit), u64::from(wanted.$limit))),+]
        };
    }
    let rows = compare!(
        max_storage_buffer_binding_size,
        max_buffer_size,
        max_storage_buffers_per_shader_stage,
        max_compute_workgroup_storage_size,
        max_compute_invocations_per_workgroup,
        max_compute_workgroup_size_x,
        max_compute_workgroup_size_y,
        max_compute_workgroups_per_dimension
    );
    let short = rows.iter().filter(|(_, has, wanted)| has < wanted);
    short.map(|(name, has, wanted)| format!("{name} {has} of {wanted}")).collect::<Vec<_>>().join(", ")
}
