//! Which adapters there are, and which one is taken.

use std::sync::LazyLock;

use super::error::DeviceError;

/// Adapters of the backends that we support.
const BACKENDS: wgpu::Backends =
    wgpu::Backends::VULKAN.union(wgpu::Backends::METAL).union(wgpu::Backends::DX12);

/// What adapter is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AdapterWish {
    /// A real GPU, never a software adapter.
    Real,
    /// The best adapter there is, a software one at last.
    Any,
    /// An adapter whose name contains this text, whatever its case.
    Named(String),
}

impl std::fmt::Display for AdapterWish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Real => f.write_str("that is real hardware"),
            Self::Any => f.write_str("at all"),
            Self::Named(name) => write!(f, "named `{name}`"),
        }
    }
}

/// An adapter that was chosen.
pub(crate) struct Chosen {
    pub adapter: wgpu::Adapter,
    pub info: wgpu::AdapterInfo,
}

/// Whether an adapter is software on the processor.
pub(crate) fn is_software(info: &wgpu::AdapterInfo) -> bool {
    info.device_type == wgpu::DeviceType::Cpu
}

fn rank(info: &wgpu::AdapterInfo) -> u8 {
    match info.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

fn matches(wish: &AdapterWish, info: &wgpu::AdapterInfo) -> bool {
    match wish {
        AdapterWish::Real => !is_software(info),
        AdapterWish::Any => true,
        AdapterWish::Named(name) => info.name.to_lowercase().contains(&name.to_lowercase()),
    }
}

/// The process's way to the drivers. It is never closed: unloading a driver while the process ends was seen to crash it
/// (lavapipe, on the main thread's exit handlers).
static INSTANCE: LazyLock<wgpu::Instance> = LazyLock::new(|| {
    wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: BACKENDS,
        // No validation layers and no debug markers: wgpu's own validation stays.
        flags: wgpu::InstanceFlags::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    })
});

/// Takes the best adapter that fits: discrete before integrated before software, then in the system's order.
pub(crate) async fn choose(wish: &AdapterWish) -> Result<Chosen, DeviceError> {
    let mut found: Vec<Chosen> = INSTANCE
        .enumerate_adapters(BACKENDS)
        .await
        .into_iter()
        .map(|adapter| Chosen { info: adapter.get_info(), adapter })
        .collect();
    let names = found.iter().map(|one| one.info.name.as_str()).collect::<Vec<_>>().join(", ");
    let names = if names.is_empty() { "none".to_owned() } else { names };
    // Stable: equal ranks keep the system's order.
    found.sort_by_key(|one| rank(&one.info));
    let fits = found.into_iter().find(|one| matches(wish, &one.info));
    fits.ok_or_else(|| DeviceError::NoAdapter { wanted: wish.to_string(), found: names })
}
