//! The kernels' WGSL, built in, with textual imports from `shaders/shared`.

/// A kernel that runs on a GPU; its WGSL stands in `shaders/NAME.wgsl`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kernel {
    /// 64-bit row sums and maxima, the second stage of every reduction.
    Sum,
    /// 2x2 box downscale.
    Downscale,
    /// Absolute differences of pairs of planes.
    Difference,
    /// Laplacian energy and luma sums.
    Detail,
    /// Gradient excess on a 16-pixel grid.
    Blockiness,
    /// Ranges of rows and columns.
    Border,
    /// Colour distance of two frames.
    ColorDistance,
    /// Structural similarity.
    Ssim,
    /// Full search at eighth size.
    MotionSearch,
    /// Refinement at quarter and half size and below a pixel.
    MotionRefine,
    /// What affine layers explain of every block.
    Layers,
    /// Inverse search of flow patches.
    FlowSearch,
    /// Flow patches that take over their neighbours' vectors.
    FlowImprove,
    /// A flow vector for every pixel.
    FlowDensify,
    /// Where flow there and back agree.
    FlowFates,
    /// A frame read where a flow field points.
    Warp,
    /// How well blocks are found in the warped frame.
    MatchBlocks,
    /// Second difference of brightness along the motion.
    FlickerBlocks,
    /// Flow vectors of one pixel in 64.
    Lattice,
    /// Luma histogram.
    Histogram,
    /// Colour and hue histograms.
    LooksColors,
    /// Phases of a locked grid, rings beside edges.
    LooksLuma,
    /// Steps between flat regions.
    LooksBands,
    /// Sums of blocks of all three planes.
    Mosaic,
    /// Energy of the two highest octaves by block.
    Octaves,
    /// Edges that stand where the first frame has none.
    Strokes,
}

macro_rules! sources {
    ($($kernel:ident = $name:literal),+ $(,)?) => {
        impl Kernel {
            /// All kernels.
            pub const ALL: &[Kernel] = &[$(Kernel::$kernel),+];

            /// Name of the kernel and of its file.
            pub fn name(self) -> &'static str {
                match self { $(Kernel::$kernel => $name),+ }
            }

            fn text(self) -> &'static str {
                match self { $(Kernel::$kernel => include_str!(concat!("../../shaders/", $name, ".wgsl"))),+ }
            }
        }
    };
}

sources! {
    Sum = "sum",
    Downscale = "downscale",
    Difference = "difference",
    Detail = "detail",
    Blockiness = "blockiness",
    Border = "border",
    ColorDistance = "color_distance",
    Ssim = "ssim",
    MotionSearch = "motion_search",
    MotionRefine = "motion_refine",
    Layers = "layers",
    FlowSearch = "flow_search",
    FlowImprove = "flow_improve",
    FlowDensify = "flow_densify",
    FlowFates = "flow_fates",
    Warp = "warp",
    MatchBlocks = "match_blocks",
    FlickerBlocks = "flicker_blocks",
    Lattice = "lattice",
    Histogram = "histogram",
    LooksColors = "looks_colors",
    LooksLuma = "looks_luma",
    LooksBands = "looks_bands",
    Mosaic = "mosaic",
    Octaves = "octaves",
    Strokes = "strokes",
}

const SHARED: &[(&str, &str)] = &[
    ("bytes", include_str!("../../shaders/shared/bytes.wgsl")),
    ("root", include_str!("../../shaders/shared/root.wgsl")),
    ("sampled", include_str!("../../shaders/shared/sampled.wgsl")),
    ("wide", include_str!("../../shaders/shared/wide.wgsl")),
    ("patch", include_str!("../../shaders/shared/patch.wgsl")),
    ("vectors", include_str!("../../shaders/shared/vectors.wgsl")),
    ("half_window", include_str!("../../shaders/shared/half_window.wgsl")),
];

impl Kernel {
    /// The whole WGSL: every `#import NAME` line replaced by `shaders/shared/NAME.wgsl`, each once.
    pub fn source(self) -> String {
        let mut out = String::new();
        import(self.text(), &mut Vec::new(), &mut out);
        out
    }
}

fn import<'a>(text: &'a str, seen: &mut Vec<&'a str>, out: &mut String) {
    for line in text.lines() {
        let Some(name) = line.strip_prefix("#import ") else {
            out.push_str(line);
            out.push('\n');
            continue;
        };
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        match SHARED.iter().find(|(shared, _)| *shared == name) {
            Some((_, text)) => import(text, seen, out),
            // Left in place, so that the compiler names the line.
            None => out.push_str(&format!("{line}\n")),
        }
    }
}
