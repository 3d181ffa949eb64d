// Planes of which every so many one is sampled, covered by tiles: what binds kernels of sampled planes.
#import bytes

struct Params {
    first: u32,   // sampled plane of the first workgroup
    step: u32,    // every so many planes one is sampled
    width: u32,   // of the luma plane
    height: u32,  // likewise
    stride: u32,  // bytes from one plane to the next
    columns: u32, // workgroups per row of workgroups
    tiles: u32,   // workgroups per plane
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> planes: array<u32>;
