// Colour histogram, hue histogram and colour sums of sampled frames, by tiles of 16x16 chroma samples.
// Planes are whole frames here. Twin: quality::looks::color::color_sums. A sample adds at most 2^16 to a row, a tile stays below 2^25.
#import sampled
#import root

// Per sampled frame 100 rows: 64 bins, 32 sectors, black, white, luma, saturation.
@group(0) @binding(2) var<storage, read_write> partials: array<u32>;

const ROWS: u32 = 100u;

var<workgroup> sums: array<atomic<u32>, 100>;

fn pixel(index: u32) -> u32 {
    return byte_of(planes[index >> 2u], index);
}

// Lower bin of a component and the upper one's share.
fn place_of(value: u32, first: i32, bits: u32) -> vec2<u32> {
    let at = u32(clamp(i32(value) - first, 0, i32(3u << bits)));
    let lower = min(at >> bits, 2u);
    return vec2<u32>(lower, at - (lower << bits));
}

fn sector_of(u: i32, v: i32) -> u32 {
    var quadrant = 3;
    var grows = u;
    if u > 0 && v >= 0 {
        quadrant = 0;
        grows = v;
    } else if u <= 0 && v > 0 {
        quadrant = 1;
        grows = -u;
    } else if u < 0 {
        quadrant = 2;
        grows = -v;
    }
    return u32(8 * quadrant + 8 * grows / max(abs(u) + abs(v), 1)) & 31u;
}

fn extremes(y: u32) -> vec2<u32> {
    return vec2<u32>(select(0u, 1u, y <= 16u), select(0u, 1u, y >= 235u));
}

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let sample = params.first + group.z;
    let across = params.width / 2u;
    let down = params.height / 2u;
    let x = group.x * 16u + place.x;
    let y = group.y * 16u + place.y;
    if x < across && y < down {
        let start = sample * params.step * params.stride;
        let corner = start + 2u * y * params.width + 2u * x;
        let a = pixel(corner);
        let b = pixel(corner + 1u);
        let c = pixel(corner + params.width);
        let d = pixel(corner + params.width + 1u);
        let blue = pixel(start + params.width * params.height + y * across + x);
        let red = pixel(start + params.width * params.height + across * down + y * across + x);
        let total = a + b + c + d;
        let ends = extremes(a) + extremes(b) + extremes(c) + extremes(d);
        if ends.x > 0u {
            atomicAdd(&sums[96], ends.x);
        }
        if ends.y > 0u {
            atomicAdd(&sums[97], ends.y);
        }
        atomicAdd(&sums[98], total);
        let u = i32(blue) - 128;
        let v = i32(red) - 128;
        let distance = square_root(u32(u * u + v * v) * 256u);
        atomicAdd(&sums[99], distance);
        if distance > 64u {
            atomicAdd(&sums[64u + sector_of(u, v)], distance - 64u);
        }
        let luma_place = place_of((total + 2u) >> 2u, 32, 6u);
        let blue_place = place_of(blue, 80, 5u);
        let red_place = place_of(red, 80, 5u);
        for (var corner_of = 0u; corner_of < 8u; corner_of++) {
            let up = vec3<u32>(corner_of >> 2u, (corner_of >> 1u) & 1u, corner_of & 1u);
            let luma_share = select(64u - luma_place.y, luma_place.y, up.x == 1u);
            let blue_share = select(32u - blue_place.y, blue_place.y, up.y == 1u);
            let red_share = select(32u - red_place.y, red_place.y, up.z == 1u);
            let weight = luma_share * blue_share * red_share;
            if weight > 0u {
                atomicAdd(&sums[16u * (luma_place.x + up.x) + 4u * (blue_place.x + up.y) + red_place.x + up.z], weight);
            }
        }
    }
    workgroupBarrier();
    if local < ROWS {
        let tile = group.y * params.columns + group.x;
        partials[(sample * ROWS + local) * params.tiles + tile] = atomicLoad(&sums[local]);
    }
}
