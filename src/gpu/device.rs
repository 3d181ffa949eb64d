//! One opened GPU: everything that dies with the device hangs off one `Generation`, which is dropped and made anew
//! as a whole after a loss.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use super::{
    adapters::{self, AdapterWish, Chosen},
    caps::{Capabilities, Tier},
    error::DeviceError,
    pacer::{Load, Pacer},
    pool::{Pool, Pooled},
    shader::Kernel,
};

/// Usage of every storage buffer, so that all of them share one pool.
const STORAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_DST).union(wgpu::BufferUsages::COPY_SRC);
const READ_BACK: wgpu::BufferUsages = wgpu::BufferUsages::MAP_READ.union(wgpu::BufferUsages::COPY_DST);
/// Bytes of one dispatch's parameters: WebGPU's default alignment of uniform bindings.
const SLOT: u64 = 256;
/// Dispatches in one submission.
const SLOTS: u64 = 256;
/// Work that takes longer is given up: far beyond one frame of one kernel on a software adapter.
const PATIENCE_S: u64 = 60;

/// What drivers report from their own threads.
#[derive(Default)]
struct Trouble {
    lost: Mutex<Option<String>>,
    fault: Mutex<Option<String>>,
}

impl Trouble {
    fn note(place: &Mutex<Option<String>>, text: String) {
        // The first cause explains the later ones.
        place.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
    }

    fn check(&self) -> Result<(), DeviceError> {
        let read =
            |place: &Mutex<Option<String>>| place.lock().unwrap_or_else(PoisonError::into_inner).clone();
        read(&self.lost).map_or(Ok(()), |cause| Err(DeviceError::Lost(cause)))?;
        read(&self.fault).map_or(Ok(()), |cause| Err(DeviceError::Fault(cause)))
    }
}

/// Counters that live longer than a generation.
#[derive(Default, Debug)]
pub(crate) struct Counters {
    pub losses: AtomicU64,
    pub rebuilds: AtomicU64,
    pub retries: AtomicU64,
    pub submissions: AtomicU64,
    pub longest_us: AtomicU64,
    pub buffer_bytes: AtomicU64,
    /// Drill: the device is destroyed before the submission that takes this from one to zero.
    pub destroy_in: AtomicU64,
}

/// How a device is opened.
#[derive(Clone, Debug)]
pub struct DeviceOptions {
    /// Which adapter.
    pub wish: AdapterWish,
    /// Highest tier to use.
    pub tier: Tier,
    /// WGSL in the place of a kernel's own. A drill: the self-test must notice.
    pub replaced: Vec<(Kernel, String)>,
}

impl DeviceOptions {
    /// The ordinary device for a wish.
    pub fn of(wish: AdapterWish) -> Self {
        Self { wish, tier: Tier::Large, replaced: Vec::new() }
    }
}

/// Commands that are recorded and not yet submitted.
struct Recording {
    encoder: wgpu::CommandEncoder,
    slots: u64,
    load: Load,
}

/// One run of one kernel over `layers` frames, pairs or rows.
pub(crate) struct Dispatch<'a> {
    pub kernel: Kernel,
    /// The words of the shader's `Params` behind `first`.
    pub params: &'a [u32],
    /// Storage bindings from 1 on.
    pub buffers: &'a [&'a Pooled],
    /// Workgroups per layer.
    pub groups: [u32; 2],
    /// Layers: the third dimension, cut into submissions.
    pub layers: u32,
}

/// An opened device with its pipelines and buffers. Belongs to one thread.
pub struct Generation {
    info: wgpu::AdapterInfo,
    tier: Tier,
    binding_bytes: u64,
    device: wgpu::Device,
    queue: wgpu::Queue,
    pipelines: BTreeMap<Kernel, wgpu::ComputePipeline>,
    pool: Pool,
    parameters: Pooled,
    pacer: Pacer,
    recording: Option<Recording>,
    trouble: Arc<Trouble>,
    counters: Arc<Counters>,
}

impl Generation {
    /// Opens a device and builds all pipelines.
    ///
    /// # Errors
    /// When no adapter fits, it is too small, or its driver refuses a device or a kernel.
    pub fn open(options: &DeviceOptions) -> Result<Self, DeviceError> {
        Self::open_counting(options, Arc::default())
    }

    pub(crate) fn open_counting(
        options: &DeviceOptions,
        counters: Arc<Counters>,
    ) -> Result<Self, DeviceError> {
        let Chosen { adapter, info } = wait(adapters::choose(&options.wish))?;
        let capabilities = Capabilities::of(&adapter, options.tier)?;
        let binding_bytes = capabilities.limits.max_storage_buffer_binding_size;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("leoma"),
            required_limits: capabilities.limits,
            ..wgpu::DeviceDescriptor::default()
        };
        let (device, queue) = wait(adapter.request_device(&descriptor))
            .map_err(|cause| DeviceError::Refused { adapter: info.name.clone(), cause: cause.to_string() })?;
        let trouble = Arc::<Trouble>::default();
        let seen = Arc::clone(&trouble);
        device.set_device_lost_callback(move |reason, text| {
            Trouble::note(&seen.lost, format!("{reason:?}: {text}"));
        });
        let seen = Arc::clone(&trouble);
        // The default handler panics.
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            Trouble::note(&seen.fault, error.to_string());
        }));
        let pool = Pool::new(device.limits().max_buffer_size);
        let parameters = pool.take(
            &device,
            (SLOT * SLOTS / 4) as usize,
            wgpu::BufferUsages::UNIFORM.union(wgpu::BufferUsages::COPY_DST),
        );
        let pipelines = Kernel::ALL
            .iter()
            .map(|&kernel| (kernel, pipeline(&device, kernel, &options.replaced)))
            .collect();
        trouble.check()?;
        Ok(Self {
            info,
            tier: capabilities.tier,
            binding_bytes,
            device,
            queue,
            pipelines,
            pool,
            parameters,
            pacer: Pacer::default(),
            recording: None,
            trouble,
            counters,
        })
    }

    /// The adapter.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.info
    }

    /// How much of the adapter is used.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Largest storage binding in bytes.
    pub fn binding_bytes(&self) -> u64 {
        self.binding_bytes
    }

    /// Uses bindings of at most `bytes`, and of at most what the device allows: small clips then take several windows.
    pub fn limit_binding(&mut self, bytes: u64) {
        self.binding_bytes = self.device.limits().max_storage_buffer_binding_size.min(bytes);
    }

    /// Bytes of the device's buffers, in use or kept for the next clip.
    pub fn buffer_bytes(&self) -> u64 {
        self.pool.bytes()
    }

    /// Destroys the device, as a driver reset would: every later use reports `DeviceError::Lost`. A drill.
    pub fn destroy(&self) {
        self.device.destroy();
    }

    /// A storage buffer of `words` words with unknown contents.
    pub(crate) fn buffer(&self, words: usize) -> Pooled {
        self.pool.take(&self.device, words, STORAGE)
    }

    /// A storage buffer with these bytes, filled up to whole words with zeros.
    pub(crate) fn upload(&self, bytes: &[u8]) -> Pooled {
        let buffer = self.buffer(bytes.len().div_ceil(4));
        let (whole, rest) = bytes.split_at(bytes.len() / 4 * 4);
        if !whole.is_empty() {
            self.queue.write_buffer(&buffer, 0, whole);
        }
        if !rest.is_empty() {
            let mut word = [0u8; 4];
            word[..rest.len()].copy_from_slice(rest);
            self.queue.write_buffer(&buffer, whole.len() as u64, &word);
        }
        buffer
    }

    /// Fills a buffer with zeros before the next dispatch.
    pub(crate) fn clear(&mut self, buffer: &Pooled) {
        let recording = self.recording.get_or_insert_with(|| Recording::new(&self.device));
        recording.encoder.clear_buffer(buffer, 0, Some(buffer.bytes()));
    }

    /// Records a dispatch, submitting whenever enough work has come together.
    pub(crate) fn dispatch(&mut self, work: &Dispatch<'_>) -> Result<(), DeviceError> {
        let groups = u64::from(work.groups[0]) * u64::from(work.groups[1]);
        let mut first = 0;
        while groups > 0 && first < work.layers {
            let recording = self.recording.get_or_insert_with(|| Recording::new(&self.device));
            let most = self.device.limits().max_compute_workgroups_per_dimension;
            let left = (work.layers - first).min(most);
            let fits = self.pacer.fit(&recording.load, work.kernel, groups, left);
            if fits == 0 || recording.slots == SLOTS {
                self.flush()?;
                continue;
            }
            let slot = recording.slots * SLOT;
            recording.slots += 1;
            self.pacer.add(&mut recording.load, work.kernel, groups * u64::from(fits));
            let mut words = vec![first];
            words.extend_from_slice(work.params);
            // Uniform bindings are read in rows of 16 bytes.
            words.resize(words.len().next_multiple_of(4), 0);
            self.queue.write_buffer(&self.parameters, slot, bytemuck::cast_slice(&words));
            let pipeline = &self.pipelines[&work.kernel];
            let bound = self.bindings(pipeline, slot, words.len() as u64 * 4, work.buffers);
            let mut pass = match &mut self.recording {
                Some(recording) => {
                    recording.encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default())
                }
                None => unreachable!("opened above"),
            };
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, &bound, &[]);
            pass.dispatch_workgroups(work.groups[0], work.groups[1], fits);
            drop(pass);
            first += fits;
        }
        Ok(())
    }

    fn bindings(
        &self,
        pipeline: &wgpu::ComputePipeline,
        slot: u64,
        bytes: u64,
        buffers: &[&Pooled],
    ) -> wgpu::BindGroup {
        let binding = |buffer, offset, bytes: u64| {
            let size = std::num::NonZeroU64::new(bytes);
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size })
        };
        let parameters =
            wgpu::BindGroupEntry { binding: 0, resource: binding(&self.parameters, slot, bytes) };
        let storage = (1..).zip(buffers).map(|(index, buffer)| wgpu::BindGroupEntry {
            binding: index,
            resource: binding(buffer, 0, buffer.bytes()),
        });
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &std::iter::once(parameters).chain(storage).collect::<Vec<_>>(),
        })
    }

    /// Submits what is recorded, waits for its end and learns how long it took.
    fn flush(&mut self) -> Result<(), DeviceError> {
        let Some(Recording { encoder, load, .. }) = self.recording.take() else {
            return self.trouble.check();
        };
        self.drill();
        let start = Instant::now();
        let index = self.queue.submit([encoder.finish()]);
        self.wait_for(index)?;
        if !load.is_empty() {
            let time = start.elapsed();
            self.pacer.learn(&load, time);
            self.counters.submissions.fetch_add(1, Ordering::Relaxed);
            self.counters.longest_us.fetch_max(time.as_micros() as u64, Ordering::Relaxed);
            self.counters.buffer_bytes.store(self.pool.bytes(), Ordering::Relaxed);
        }
        Ok(())
    }

    fn drill(&self) {
        let due =
            self.counters.destroy_in.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        if due == Ok(1) {
            self.device.destroy();
        }
    }

    fn wait_for(&self, index: wgpu::SubmissionIndex) -> Result<(), DeviceError> {
        self.trouble.check()?;
        let timeout = Some(Duration::from_secs(PATIENCE_S));
        let polled = self.device.poll(wgpu::PollType::Wait { submission_index: Some(index), timeout });
        self.trouble.check()?;
        match polled {
            Ok(_) => Ok(()),
            Err(wgpu::PollError::Timeout) => Err(DeviceError::Stuck(PATIENCE_S)),
            Err(refused @ wgpu::PollError::WrongSubmissionIndex(..)) => {
                // A submission that went nowhere without an error: the device is gone, and its callback is due.
                let _ = self.device.poll(wgpu::PollType::Poll);
                self.trouble.check()?;
                Err(DeviceError::Lost(refused.to_string()))
            }
        }
    }

    /// Ends all recorded work and copies a buffer back.
    pub(crate) fn read(&mut self, buffer: &Pooled) -> Result<Vec<u32>, DeviceError> {
        self.flush()?;
        let back = self.pool.take(&self.device, (buffer.bytes() / 4) as usize, READ_BACK);
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &back, 0, Some(buffer.bytes()));
        self.drill();
        let index = self.queue.submit([encoder.finish()]);
        let slice = back.slice(..buffer.bytes());
        let (told, mapped) = std::sync::mpsc::channel();
        slice.map_async(wgpu::MapMode::Read, move |result| {
            // Nobody listens when the wait below failed.
            let _ = told.send(result);
        });
        self.wait_for(index)?;
        let refused = |cause: &dyn std::fmt::Display| DeviceError::Fault(format!("reading back: {cause}"));
        mapped.recv().map_err(|e| refused(&e))?.map_err(|e| refused(&e))?;
        let words = {
            let view = slice.get_mapped_range().map_err(|e| refused(&e))?;
            bytemuck::pod_collect_to_vec::<u8, u32>(&view)
        };
        back.unmap();
        Ok(words)
    }
}

impl Recording {
    fn new(device: &wgpu::Device) -> Self {
        let encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        Self { encoder, slots: 0, load: Load::default() }
    }
}

fn pipeline(device: &wgpu::Device, kernel: Kernel, replaced: &[(Kernel, String)]) -> wgpu::ComputePipeline {
    let other = replaced.iter().find(|(which, _)| *which == kernel).map(|(_, text)| text.clone());
    let source = other.unwrap_or_else(|| kernel.source());
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(kernel.name()),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    });
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(kernel.name()),
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    })
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future of wgpu on this thread; natively they are ready at once.
fn wait<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
