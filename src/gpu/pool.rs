//! Buffers that are used again: sizes are rounded up to powers of two, so that clips of one size share them.

use std::{
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

/// Smallest buffer, in bytes.
const LEAST: u64 = 256;

#[derive(Default)]
struct Shelf {
    free: Vec<wgpu::Buffer>,
    bytes: u64,
}

/// Free buffers of one device.
pub(crate) struct Pool {
    shelf: Arc<Mutex<Shelf>>,
    /// Largest buffer of the device, in bytes.
    most: u64,
}

/// A buffer that goes back to its pool when it is dropped. Its contents are whatever was there before.
pub(crate) struct Pooled {
    /// Only absent while dropping.
    buffer: Option<wgpu::Buffer>,
    /// Size that was asked for, in bytes, a multiple of four.
    bytes: u64,
    shelf: Arc<Mutex<Shelf>>,
}

impl Pool {
    /// An empty pool for a device whose buffers are at most `most` bytes.
    pub fn new(most: u64) -> Self {
        Self { shelf: Arc::default(), most }
    }

    /// A buffer of at least `words` 32-bit words.
    pub fn take(&self, device: &wgpu::Device, words: usize, usage: wgpu::BufferUsages) -> Pooled {
        let bytes = (words as u64 * 4).max(4);
        // Never rounded beyond the device's limit; what is larger by itself is refused by the device.
        let size = bytes.next_power_of_two().max(LEAST).min(self.most).max(bytes);
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let known = shelf.free.iter().position(|free| free.size() == size && free.usage() == usage);
        let buffer = known.map(|at| shelf.free.swap_remove(at)).unwrap_or_else(|| {
            shelf.bytes += size;
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size,
                usage,
                mapped_at_creation: false,
            })
        });
        Pooled { buffer: Some(buffer), bytes, shelf: Arc::clone(&self.shelf) }
    }

    /// Bytes of all buffers of the pool, in use or free.
    pub fn bytes(&self) -> u64 {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }
}

impl Pooled {
    /// Bytes that were asked for.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Deref for Pooled {
    type Target = wgpu::Buffer;

    fn deref(&self) -> &wgpu::Buffer {
        match &self.buffer {
            Some(buffer) => buffer,
            None => unreachable!("a pooled buffer is there until it is dropped"),
        }
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.free.extend(self.buffer.take());
    }
}
