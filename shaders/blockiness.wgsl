// Gradient excess per phase of a 16-pixel grid and the sum of gradients, by 16x16 tiles: the place of a pixel in its
// tile is its phase. Twin: quality::blockiness::grid_sums. A tile's excess lies within -8,160..=8,160.
#import sampled

// Per sampled frame 33 rows: 16 phases of columns, 16 phases of rows, gradients.
@group(0) @binding(2) var<storage, read_write> partials: array<i32>;

var<workgroup> sums: array<atomic<i32>, 33>;

fn pixel(index: u32) -> i32 {
    return i32(byte_of(planes[index >> 2u], index));
}

// Twice the gradient between b and c less its two neighbours.
fn excess(a: i32, b: i32, c: i32, d: i32) -> i32 {
    return 2 * abs(c - b) - abs(b - a) - abs(d - c);
}

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let sample = params.first + group.z;
    let x = group.x * 16u + place.x;
    let y = group.y * 16u + place.y;
    if x < params.width && y < params.height {
        let at = sample * params.step * params.stride + y * params.width + x;
        let here = pixel(at);
        var gradient = 0;
        if x >= 1u {
            gradient += abs(here - pixel(at - 1u));
        }
        if y >= 1u {
            gradient += abs(here - pixel(at - params.width));
        }
        atomicAdd(&sums[32], gradient);
        if x >= 2u && x + 1u < params.width {
            atomicAdd(&sums[place.x], excess(pixel(at - 2u), pixel(at - 1u), here, pixel(at + 1u)));
        }
        if y >= 2u && y + 1u < params.height {
            let rows = params.width;
            atomicAdd(&sums[16u + place.y], excess(pixel(at - 2u * rows), pixel(at - rows), here, pixel(at + rows)));
        }
    }
    workgroupBarrier();
    if local < 33u {
        let tile = group.y * params.columns + group.x;
        partials[(sample * 33u + local) * params.tiles + tile] = atomicLoad(&sums[local]);
    }
}
