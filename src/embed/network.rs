//! A network as data: the list of layers that every executor runs.

/// How the border of a map is continued before a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// Zeros on each side.
    Zero(usize),
    /// Mirrored without repeating the edge, on each side; maps must be larger than this.
    Reflect(usize),
}

impl Padding {
    /// Rows or columns that are added on each side.
    pub fn amount(self) -> usize {
        match self {
            Self::Zero(amount) | Self::Reflect(amount) => amount,
        }
    }
}

/// Shape of a square 2-D convolution: weights `[outputs, inputs / groups, size, size]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvolutionShape {
    /// Channels of its input.
    pub inputs: usize,
    /// Channels of its output.
    pub outputs: usize,
    /// Side of its window in pixels.
    pub size: usize,
    /// Step between windows in pixels.
    pub stride: usize,
    /// Border.
    pub padding: Padding,
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl ConvolutionShape {
    /// Weights of one output channel.
    pub fn taps(&self) -> usize {
        self.inputs / self.groups * self.size * self.size
    }

    /// Side of the output for a side of the input.
    pub fn output_side(&self, side: usize) -> usize {
        (side + 2 * self.padding.amount() - self.size) / self.stride + 1
    }
}

/// Where a checkpoint keeps a convolution.
#[derive(Debug, Clone)]
pub struct ConvolutionSource {
    /// Shape of the convolution.
    pub shape: ConvolutionShape,
    /// Key of the weights in the checkpoint.
    pub weight: String,
    /// Key of the bias, where there is one.
    pub bias: Option<String>,
    /// Prefix of the batch normalisation that follows and is folded in, where there is one.
    pub norm: Option<String>,
}

/// A value per channel in a checkpoint, `[1, channels, 1, 1]`.
#[derive(Debug, Clone)]
pub struct ConstantSource {
    /// Its key.
    pub key: String,
    /// Its length.
    pub channels: usize,
}

/// One step on the current maps `[images, channels, height, width]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// Convolution by its index in the network.
    Convolution(usize),
    /// Values below zero become zero, above `ceiling` the ceiling.
    Clamp {
        /// Upper end; none for a plain rectifier.
        ceiling: Option<f32>,
    },
    /// Largest value of each `size` x `size` window, step 1, no padding.
    MaxPool {
        /// Side of the window.
        size: usize,
    },
    /// Remembers the maps.
    Save,
    /// Adds the maps that were remembered last.
    AddSaved,
    /// Emits the maps as a feature level.
    Tap,
}

/// What a checkpoint must hold and how it is run.
#[derive(Debug, Clone)]
pub struct NetworkSource {
    /// Name of the network in messages.
    pub name: &'static str,
    /// Convolutions in the order of [`Step::Convolution`].
    pub convolutions: Vec<ConvolutionSource>,
    /// Further tensors of the checkpoint.
    pub constants: Vec<ConstantSource>,
    /// Keys with this ending are training counters without any part in a result.
    pub counters: Option<&'static str>,
    /// The layers.
    pub steps: Vec<Step>,
}

/// A convolution with its weights, batch normalisation folded in.
#[derive(Debug, Clone)]
pub struct Convolution {
    /// Its shape.
    pub shape: ConvolutionShape,
    /// Weights `[outputs, inputs / groups, size, size]`.
    pub weight: Vec<f32>,
    /// Bias `[outputs]`; zeros where the source has none.
    pub bias: Vec<f32>,
}

/// A network with its weights: what executors run.
#[derive(Debug, Clone)]
pub struct Network {
    /// Name in messages.
    pub name: &'static str,
    /// Convolutions in the order of [`Step::Convolution`].
    pub convolutions: Vec<Convolution>,
    /// Further tensors, one value per channel each.
    pub constants: Vec<Vec<f32>>,
    /// The layers.
    pub steps: Vec<Step>,
}

/// Pixels as a network takes them: `[images, 3, height, width]`, already floats.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Number of images.
    pub images: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Values, image by image, channel by channel.
    pub data: Vec<f32>,
}

/// Something that can run the steps of one network.
pub trait Executor {
    /// Maps `[images, channels, height, width]` where this executor keeps them.
    type Maps: Clone;

    /// Takes pixels in.
    fn upload(&self, batch: Batch) -> Self::Maps;
    /// Convolution by its index.
    fn convolution(&self, maps: Self::Maps, index: usize) -> Self::Maps;
    /// Two convolutions, one right after the other; an executor may do both at once.
    fn convolution_pair(&self, maps: Self::Maps, first: usize, second: usize) -> Self::Maps {
        self.convolution(self.convolution(maps, first), second)
    }
    /// See [`Step::Clamp`].
    fn clamp(&self, maps: Self::Maps, ceiling: Option<f32>) -> Self::Maps;
    /// See [`Step::MaxPool`].
    fn max_pool(&self, maps: Self::Maps, size: usize) -> Self::Maps;
    /// Sum of maps of the same shape.
    fn add(&self, maps: Self::Maps, other: Self::Maps) -> Self::Maps;
    /// Mean of each map: for every image its channels' means.
    fn means(&self, maps: Self::Maps) -> Vec<Vec<f32>>;
    /// Every pixel's vector over channels divided by its length plus 1e-10 (LPIPS' `normalize_tensor`).
    fn unit_length(&self, maps: Self::Maps) -> Self::Maps;
    /// Mean over pixels of the weighted sum over channels of squared differences; `head` holds a weight per
    /// channel and is a constant of the network by its index. Maps of one image each.
    fn weighted_difference(&self, maps: &Self::Maps, other: &Self::Maps, head: usize) -> f64;
}

/// What a run leaves: the tapped levels and the last maps.
pub struct Outcome<M> {
    /// Maps at every [`Step::Tap`].
    pub taps: Vec<M>,
    /// Maps after the last step.
    pub last: M,
}

/// Runs `steps` on a batch.
pub fn run<E: Executor>(executor: &E, steps: &[Step], batch: Batch) -> Outcome<E::Maps> {
    let mut maps = executor.upload(batch);
    let mut saved = Vec::new();
    let mut taps = Vec::new();
    let mut steps = steps.iter().peekable();
    while let Some(step) = steps.next() {
        match *step {
            Step::Convolution(first) => {
                let second = steps.next_if(|next| matches!(next, Step::Convolution(_)));
                maps = match second {
                    Some(&Step::Convolution(second)) => executor.convolution_pair(maps, first, second),
                    _ => executor.convolution(maps, first),
                };
            }
            Step::Clamp { ceiling } => maps = executor.clamp(maps, ceiling),
            Step::MaxPool { size } => maps = executor.max_pool(maps, size),
            Step::Save => saved.push(maps.clone()),
            Step::AddSaved => {
                // A list with more additions than saves does not exist (`models` tests it).
                if let Some(other) = saved.pop() {
                    maps = executor.add(maps, other);
                }
            }
            Step::Tap => taps.push(maps.clone()),
        }
    }
    Outcome { taps, last: maps }
}
