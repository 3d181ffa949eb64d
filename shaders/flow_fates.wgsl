// Where a vector and the way back from its end agree: 0 seen, 1 hidden, 2 left the frame, four pixels to a word.
// Twin: quality::flow::consistency::fates. One invocation per word.
#import vectors

const ALLOWED: i32 = 512;
const SHARE: i32 = 100;
const FARTHEST: i32 = 8192;

struct Params {
    first: u32,  // pair of the first workgroup
    width: u32,
    height: u32,
    words: u32,  // of fates per pair, the last one filled up with zeros
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> there: array<u32>;
@group(0) @binding(2) var<storage, read> back: array<u32>;
@group(0) @binding(3) var<storage, read_write> fates: array<u32>;

fn square(v: vec2<i32>) -> i32 {
    return v.x * v.x + v.y * v.y;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let pair = params.first + group.z;
    let word = group.x * 256u + local;
    if word >= params.words {
        return;
    }
    let area = params.width * params.height;
    let start = pair * area;
    var packed = 0u;
    for (var k = 0u; k < 4u; k++) {
        let index = word * 4u + k;
        if index < area {
            let f = vector_of(there[start + index]);
            let p = vec2<i32>(i32(index % params.width), i32(index / params.width));
            let q = p + ((f + vec2<i32>(16)) >> vec2<u32>(5u));
            var fate = 2u;
            if q.x >= 0 && q.y >= 0 && q.x < i32(params.width) && q.y < i32(params.height) {
                let b = vector_of(back[start + u32(q.y) * params.width + u32(q.x)]);
                let off = clamp(f + b, vec2<i32>(-FARTHEST), vec2<i32>(FARTHEST));
                fate = select(1u, 0u, square(off) <= ALLOWED + (square(f) + square(b)) / SHARE);
            }
            packed |= fate << (8u * k);
        }
    }
    fates[pair * params.words + word] = packed;
}
