// Second stage of every reduction: 64-bit sum and maximum of each row of signed 32-bit values. Integers, so that the
// order of the tree does not matter. One workgroup per row.
#import wide

struct Params {
    first: u32, // row of the first workgroup
    count: u32, // values per row
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> values: array<i32>;
// Per row: low and high word of the sum, maximum, zero.
@group(0) @binding(2) var<storage, read_write> results: array<vec4<u32>>;

var<workgroup> sums: array<vec2<u32>, 256>;
var<workgroup> largest: array<i32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let row = params.first + group.z;
    var sum = vec2<u32>(0u, 0u);
    var most = -2147483647 - 1;
    for (var i = local; i < params.count; i += 256u) {
        let value = values[row * params.count + i];
        sum = wide_add(sum, wide_of_signed(value));
        most = max(most, value);
    }
    sums[local] = sum;
    largest[local] = most;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half >>= 1u) {
        if local < half {
            sums[local] = wide_add(sums[local], sums[local + half]);
            largest[local] = max(largest[local], largest[local + half]);
        }
        workgroupBarrier();
    }
    if local == 0u {
        results[row] = vec4<u32>(sums[0], bitcast<u32>(largest[0]), 0u);
    }
}
