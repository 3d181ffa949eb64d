// How well 16x16 blocks of a frame are found in the other frame, which was warped to it. Twin:
// quality::temporal::warp::match_blocks. One workgroup per block, one invocation per pixel; the sums of a block stay below 2^21.
#import bytes

const CENSUS_STEP: i32 = 32;

struct Params {
    first: u32,        // pair of the first workgroup
    width: u32,
    height: u32,
    stride: u32,       // bytes from one plane to the next
    origin: u32,       // plane of the pair's frame, beyond the pair's number
    warped_words: u32, // per pair
    fates_words: u32,  // per pair
    columns: u32,      // blocks per row
    blocks: u32,       // per pair
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> planes: array<u32>;
@group(0) @binding(2) var<storage, read> warped: array<u32>;
@group(0) @binding(3) var<storage, read> fates: array<u32>;
// Per block: seen, hidden, error, contrast, census.
@group(0) @binding(4) var<storage, read_write> sums: array<u32>;

var<workgroup> totals: array<atomic<u32>, 5>;

fn place_of(x: i32, y: i32) -> u32 {
    let column = u32(clamp(x, 0, i32(params.width) - 1));
    let row = u32(clamp(y, 0, i32(params.height) - 1));
    return row * params.width + column;
}

// In 1/16 level.
fn ours(plane: u32, x: i32, y: i32) -> i32 {
    let index = plane * params.stride + place_of(x, y);
    return 16 * i32(byte_of(planes[index >> 2u], index));
}

fn theirs(pair: u32, x: i32, y: i32) -> i32 {
    let index = place_of(x, y);
    let word = warped[pair * params.warped_words + (index >> 1u)];
    return i32((word >> (16u * (index & 1u))) & 0xffffu);
}

// (1, 2, 1) / 4 of warped less frame along a row, in 1/16 level; the caller clamps the row, this the columns.
fn smooth_row(pair: u32, plane: u32, x: i32, y: i32) -> i32 {
    let left = theirs(pair, x - 1, y) - ours(plane, x - 1, y);
    let here = theirs(pair, x, y) - ours(plane, x, y);
    let right = theirs(pair, x + 1, y) - ours(plane, x + 1, y);
    return (left + 2 * here + right + 2) >> 2u;
}

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let pair = params.first + group.z;
    let plane = pair + params.origin;
    let x = i32(group.x * 16u + place.x);
    let y = i32(group.y * 16u + place.y);
    if x < i32(params.width) && y < i32(params.height) {
        let index = place_of(x, y);
        let fate = byte_of(fates[pair * params.fates_words + (index >> 2u)], index);
        if fate < 2u {
            let here = ours(plane, x, y);
            let there = theirs(pair, x, y);
            let across = abs(ours(plane, x + 1, y) - ours(plane, x - 1, y));
            let down = abs(ours(plane, x, y + 1) - ours(plane, x, y - 1));
            atomicAdd(&totals[fate], 1u);
            let rows = smooth_row(pair, plane, x, y - 1) + 2 * smooth_row(pair, plane, x, y)
                + smooth_row(pair, plane, x, y + 1);
            atomicAdd(&totals[2], u32(abs((rows + 2) >> 2u)));
            atomicAdd(&totals[3], u32(across + down) >> 4u);
            if fate == 0u {
                var bits = 0u;
                for (var i = 0; i < 9; i++) {
                    let dx = i % 3 - 1;
                    let dy = i / 3 - 1;
                    if i != 4 {
                        let one = ours(plane, x + dx, y + dy) - here > CENSUS_STEP;
                        let other = theirs(pair, x + dx, y + dy) - there > CENSUS_STEP;
                        bits += select(0u, 1u, one != other);
                    }
                }
                atomicAdd(&totals[4], bits);
            }
        }
    }
    workgroupBarrier();
    if local < 5u {
        let block = pair * params.blocks + group.y * params.columns + group.x;
        sums[5u * block + local] = atomicLoad(&totals[local]);
    }
}
