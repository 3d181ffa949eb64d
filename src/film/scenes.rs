//! The drawn scenes: what each pixel shows at each time. Integers only.

use super::texture::{Point, Rgb, fractal, hash, mix, noise, shade, sine};

/// Width of the canvas in units.
pub const CANVAS_WIDTH: i32 = 832 * PX;
/// Height of the canvas in units.
pub const CANVAS_HEIGHT: i32 = 480 * PX;
/// Units per pixel.
const PX: i32 = 16;

/// One drawn clip.
#[derive(Clone, Copy)]
pub struct Scene {
    /// Key in the manifest.
    pub key: &'static str,
    /// What it shows.
    pub caption: &'static str,
    /// The part that does not move.
    pub backdrop: fn(Point) -> Rgb,
    /// The picture at a time (1/24 s): a function from point and backdrop to colour.
    pub paint: fn(i32) -> Painter,
}

/// One moment of a scene; what does not depend on the point is worked out before.
pub type Painter = Box<dyn Fn(Point, Rgb) -> Rgb + Sync>;

/// All scenes.
pub const SCENES: [Scene; 8] = [
    Scene {
        key: "drawn-ball.mp4",
        caption: "A striped ball rolls and bounces from left to right over a wooden floor in front of a brick wall, static camera.",
        backdrop: room,
        paint: |time| Box::new(move |point, backdrop| ball(time, point, backdrop)),
    },
    Scene {
        key: "drawn-fish.mp4",
        caption: "Three colourful fish swim through rippling blue water with bending tails while bubbles rise.",
        backdrop: |_| [18, 70, 110],
        paint: fish,
    },
    Scene {
        key: "drawn-flag.mp4",
        caption: "A red and yellow chequered flag waves on a pole in the wind under drifting clouds.",
        backdrop: meadow,
        paint: |time| Box::new(move |point, backdrop| flag(time, point, backdrop)),
    },
    Scene {
        key: "drawn-gears.mp4",
        caption: "Three brass gears of different sizes turn against each other on a dark wooden board, static camera.",
        backdrop: |at| planks(at, [70, 48, 34]),
        paint: |time| Box::new(move |point, backdrop| gears(time, point, backdrop)),
    },
    Scene {
        key: "drawn-leaves.mp4",
        caption: "Orange and red leaves sway and turn as they fall in front of a brick wall.",
        backdrop: bricks,
        paint: leaves,
    },
    Scene {
        key: "drawn-sailboat.mp4",
        caption: "A small white sailboat crosses a rippling lake from left to right below green hills and drifting clouds.",
        backdrop: hills,
        paint: |time| Box::new(move |point, backdrop| sailboat(time, point, backdrop)),
    },
    Scene {
        key: "drawn-traffic.mp4",
        caption: "Cars drive at different speeds in both directions on a grey road in front of green hills, static camera.",
        backdrop: hills,
        paint: traffic,
    },
    Scene {
        key: "drawn-wheat.mp4",
        caption: "Waves of wind run through a golden wheat field under a blue sky with slowly drifting clouds.",
        backdrop: |at| mix([90, 140, 215], [205, 220, 235], at.y * 256 / (200 * PX)),
        paint: |time| Box::new(move |point, backdrop| wheat(time, point, backdrop)),
    },
];

fn at(x: i32, y: i32) -> Point {
    Point { x: x * PX, y: y * PX }
}

fn bricks(point: Point) -> Rgb {
    let row = point.y.div_euclid(24 * PX);
    let shifted = point.x + row.rem_euclid(2) * 28 * PX;
    let (x, y) = (shifted.rem_euclid(56 * PX), point.y.rem_euclid(24 * PX));
    let grain = fractal(point, 6, 3) / 4 - 32;
    if x < 3 * PX || y < 3 * PX {
        return shade([150, 144, 134], grain / 2);
    }
    let tone = (hash(shifted.div_euclid(56 * PX), row, 7) % 50) as i32 - 25;
    shade([152, 84, 64], tone + grain)
}

fn planks(point: Point, colour: Rgb) -> Rgb {
    let plank = point.y.div_euclid(40 * PX);
    let seam = point.y.rem_euclid(40 * PX) < 2 * PX;
    let fibre = fractal(Point { x: point.x / 8 + plank * 977, y: point.y }, 6, 11) / 3 - 42;
    shade(colour, if seam { -40 } else { fibre + (hash(plank, 0, 2) % 20) as i32 })
}

fn room(point: Point) -> Rgb {
    if point.y < 340 * PX { bricks(point) } else { planks(point, [158, 116, 74]) }
}

fn meadow(point: Point) -> Rgb {
    if point.y > 400 * PX {
        return shade([70, 120, 52], fractal(Point { x: point.x, y: point.y / 3 }, 5, 9) / 3 - 42);
    }
    mix([80, 130, 210], [190, 212, 236], point.y * 256 / (400 * PX))
}

fn hills(point: Point) -> Rgb {
    let ridge = |base: i32, rise: i32, seed: u32| {
        (base + fractal(Point { x: point.x, y: 0 }, 11, seed) * rise / 256) * PX
    };
    if point.y > ridge(195, 60, 31) {
        shade([62, 104, 58], fractal(point, 6, 5) / 3 - 42)
    } else if point.y > ridge(120, 90, 23) {
        shade([98, 128, 116], fractal(point, 7, 6) / 5 - 25)
    } else {
        mix([96, 148, 220], [214, 224, 232], point.y * 256 / (220 * PX))
    }
}

/// Clouds that drift `speed` units per frame, change their shape and thin out downwards.
fn clouds(time: i32, point: Point, sky: Rgb, speed: i32) -> Rgb {
    let moved = Point { x: point.x - time * speed, y: point.y * 2 + time * 4 };
    let low = (point.y - 40 * PX).max(0) / PX;
    let density = fractal(moved, 11, 41) - 120 - low / 2 + (sine(point.x / 24 + time * 2) >> 5);
    mix(sky, [244, 244, 240], density * 4)
}

fn ball(time: i32, point: Point, backdrop: Rgb) -> Rgb {
    let hop = time % 42;
    let height = hop * (42 - hop) * 90 / 441; // pixels, 0 to 90
    let centre = at(-40 + time * 5, 370 - height);
    let seen = point.from(centre);
    let radius = 52 * PX;
    if seen.norm() <= i64::from(radius) * i64::from(radius) {
        let turned = seen.turned(-time * 15);
        // Stripes bulge towards the rim, so that they move as on a sphere.
        let bulge = 256 + (seen.norm() * 160 / (i64::from(radius) * i64::from(radius))) as i32;
        let stripe = (turned.x * bulge / 256 + 2_000 * PX).div_euclid(17 * PX) % 2;
        let base = if stripe == 0 { [206, 44, 40] } else { [240, 232, 214] };
        return shade(base, fractal(turned, 5, 51) / 8 - 16 - (seen.x + seen.y) / (2 * PX));
    }
    let shadow = point.from(Point { x: centre.x, y: 424 * PX });
    let reach = 62 - height / 4;
    if shadow.in_ellipse(reach * PX, reach / 5 * PX) { shade(backdrop, -46 + height / 4) } else { backdrop }
}

struct Swimmer {
    row: i32,
    speed: i32,
    start: i32,
    size: i32,
    body: Rgb,
    fin: Rgb,
}

const SWIMMERS: [Swimmer; 3] = [
    Swimmer { row: 130, speed: 4, start: 20, size: 74, body: [238, 132, 32], fin: [250, 232, 200] },
    Swimmer { row: 250, speed: -3, start: 760, size: 96, body: [214, 62, 96], fin: [246, 196, 80] },
    Swimmer { row: 372, speed: 6, start: -220, size: 60, body: [236, 214, 60], fin: [60, 90, 190] },
];

struct Bubble {
    centre: Point,
    radius: i64,
}

fn fish(time: i32) -> Painter {
    let bubbles: Vec<Bubble> = (0..14)
        .map(|bubble| {
            let (x, start) = ((hash(bubble, 1, 71) % 832) as i32, (hash(bubble, 2, 71) % 560) as i32);
            let y = (start - time * (2 + bubble % 3)).rem_euclid(560) - 40;
            let centre = at(x + sine(time * 14 + bubble * 90) / 24, y);
            Bubble { centre, radius: i64::from((4 + bubble % 5) * PX) }
        })
        .collect();
    Box::new(move |point, deep| {
        let swimmer = SWIMMERS.iter().rev().find_map(|swimmer| one_fish(swimmer, time, point));
        let mut colour = swimmer.unwrap_or_else(|| water(time, point, deep));
        for bubble in &bubbles {
            let (seen, square) = (point.from(bubble.centre).norm(), bubble.radius * bubble.radius);
            if seen <= square {
                colour = mix(colour, [222, 240, 248], if seen * 2 > square { 200 } else { 70 });
            }
        }
        colour
    })
}

/// Light that refracts through moving water: bright lines where two drifting fields cross.
fn water(time: i32, point: Point, deep: Rgb) -> Rgb {
    let sway = Point {
        x: point.x + sine(point.y / 6 + time * 9) / 2,
        y: point.y + sine(point.x / 7 - time * 11) / 2,
    };
    let other = Point { x: sway.y, y: sway.x + time * 12 };
    let line = 60 - (fractal(sway, 10, 61) - fractal(other, 10, 62)).abs() * 2;
    shade(deep, line.max(-30) - point.y / (14 * PX) + noise(sway, 6, 63) / 10)
}

fn one_fish(swimmer: &Swimmer, time: i32, point: Point) -> Option<Rgb> {
    let head = at(swimmer.start + swimmer.speed * time, swimmer.row + sine(time * 7 + swimmer.row) / 20);
    let size = swimmer.size * PX;
    let mut seen = point.from(head);
    seen.x *= -swimmer.speed.signum(); // positive behind the centre, towards the tail
    // The body bends in a wave that grows towards the tail.
    let behind = (seen.x + size).max(0);
    seen.y += sine(seen.x / 12 - time * 46) * behind / size * size / (26 * 256);
    let tail =
        seen.x > size * 3 / 4 && seen.x < size * 5 / 4 && seen.y.abs() < (seen.x - size * 2 / 3) * 4 / 5;
    if tail {
        return Some(shade(swimmer.fin, (seen.y / 40).rem_euclid(2) * -24));
    }
    if !seen.in_ellipse(size, size * 2 / 5) {
        return None;
    }
    let eye = seen.from(Point { x: -size * 3 / 5, y: -size / 9 });
    if eye.norm() < i64::from(size / 14) * i64::from(size / 14) {
        return Some([16, 16, 20]);
    }
    let band = (seen.x + size * 4).rem_euclid(size / 2) < size / 6;
    let scales = noise(seen, 6, 81) / 6 - 20;
    Some(shade(if band { swimmer.fin } else { swimmer.body }, scales - seen.y * 40 / size))
}

fn flag(time: i32, point: Point, backdrop: Rgb) -> Rgb {
    if point.y > 400 * PX {
        // Grass blades bend with the gusts.
        let bend = sine(point.x / 10 - time * 22) * (480 * PX - point.y) / (80 * PX);
        let blade = noise(Point { x: (point.x + bend) * 2, y: point.y / 4 }, 6, 91) / 3 - 42;
        return if (160 * PX..172 * PX).contains(&point.x) { [92, 84, 78] } else { shade(backdrop, blade) };
    }
    if (160 * PX..172 * PX).contains(&point.x) && point.y > 40 * PX {
        return shade([150, 146, 140], (166 * PX - point.x) / 4);
    }
    let along = point.x - 172 * PX;
    let (width, height) = (500 * PX, 270 * PX);
    if (0..width).contains(&along) {
        // Amplitude grows from the pole; two waves of different length run outwards.
        let phase = along / 9 - time * 34;
        let swing = (sine(phase) * 2 + sine(along / 5 - time * 53 + point.y / 20)) / 3;
        let top = 64 * PX + swing * along / width * 34 * PX / 256 + along / 14;
        let down = point.y - top;
        if (0..height).contains(&down) {
            let stretched = along + sine(phase + 256) * along / width;
            let check = (stretched / (62 * PX) + down / (54 * PX)) % 2;
            let base = if check == 0 { [196, 34, 44] } else { [240, 196, 60] };
            let cloth = noise(Point { x: stretched, y: down }, 5, 92) / 12 - 10;
            return shade(base, cloth + sine(phase + 256) / 6);
        }
    }
    clouds(time, Point { y: point.y / 3, ..point }, backdrop, 22)
}

struct Gear {
    centre: Point,
    radius: i32,
    teeth: i32,
    turn: i32,
    colour: Rgb,
}

fn gears(time: i32, point: Point, backdrop: Rgb) -> Rgb {
    let gear = |x, y, radius, teeth, turn, colour| Gear {
        centre: at(x, y),
        radius: radius * PX,
        teeth,
        turn,
        colour,
    };
    let train = [
        gear(250, 250, 150, 20, 6 * time, [196, 158, 70]),
        gear(512, 170, 110, 15, -8 * time + 20, [176, 120, 66]),
        gear(640, 350, 96, 12, 10 * time, [206, 186, 128]),
    ];
    train.iter().find_map(|gear| one_gear(gear, point)).unwrap_or_else(|| {
        // Shadows lie right below the gears and move with their teeth.
        let shifted = Point { x: point.x - 9 * PX, y: point.y - 11 * PX };
        let covered = train.iter().any(|gear| one_gear(gear, shifted).is_some());
        shade(backdrop, if covered { -34 } else { 0 })
    })
}

fn one_gear(gear: &Gear, point: Point) -> Option<Rgb> {
    let seen = point.from(gear.centre);
    if seen.norm() > i64::from(gear.radius) * i64::from(gear.radius) {
        return None;
    }
    let turned = seen.turned(gear.turn);
    let root = i64::from(gear.radius * 85 / 100);
    let hub = i64::from(gear.radius / 7);
    let (inner, outer) = (i64::from(gear.radius * 30 / 100), i64::from(gear.radius * 66 / 100));
    let norm = seen.norm();
    if norm > root * root && (angle_of(turned) * gear.teeth / 512) % 2 == 1 {
        return None;
    }
    let spoke_gap = norm > inner * inner && norm < outer * outer && (angle_of(turned) * 6 / 512) % 2 == 1;
    if norm < hub * hub || spoke_gap {
        return None;
    }
    let brushed = noise(Point { x: turned.x / 3, y: turned.y * 2 }, 6, 101) / 5 - 25;
    Some(shade(gear.colour, brushed - (seen.x + seen.y) / (10 * PX)))
}

/// Angle of a point in 1/1024 turn, monotonic but not evenly spaced (exact at multiples of 1/8).
fn angle_of(point: Point) -> i32 {
    let (x, y) = (point.x.abs().max(1), point.y.abs());
    // atan(r) is about r * (1.273 - 0.273 r) of an eighth turn for r in 0..=1.
    let eighth = |small: i32, large: i32| {
        let ratio = small * 256 / large.max(1);
        128 * ratio / 256 * (326 - 70 * ratio / 256) / 256
    };
    let quarter = if y <= x { eighth(y, x) } else { 256 - eighth(x, y) };
    match (point.x >= 0, point.y >= 0) {
        (true, true) => quarter,
        (false, true) => 512 - quarter,
        (false, false) => 512 + quarter,
        (true, false) => 1_023 - quarter,
    }
}

struct Leaf {
    centre: Point,
    size: i32,
    width: i32,
    turn: i32,
    colour: Rgb,
}

impl Leaf {
    fn at_time(leaf: i32, time: i32) -> Self {
        let random = |which: i32, below: u32| (hash(leaf, which, 121) % below) as i32;
        let fall = 2 + leaf % 4;
        let y = (random(1, 620) + time * fall).rem_euclid(620) - 70;
        let swing = sine(time * (6 + leaf % 5) + random(2, 1_024));
        let size = (26 + random(4, 30)) * PX;
        Leaf {
            centre: at(random(3, 832) + swing * (18 + leaf % 20) / 256, y),
            size,
            // The leaf tumbles: its width follows a second swing.
            width: size / 6 + size * (256 + sine(time * 13 + random(6, 1_024))) / 1_400,
            turn: swing / 2 + random(5, 1_024) + time * (leaf % 3 - 1) * 5,
            colour: [[206, 92, 26], [176, 46, 34], [222, 150, 40], [150, 96, 40]][(leaf % 4) as usize],
        }
    }

    fn colour_at(&self, point: Point) -> Option<Rgb> {
        let seen = point.from(self.centre);
        if seen.x.abs() > self.size || seen.y.abs() > self.size {
            return None;
        }
        let seen = seen.turned(self.turn);
        let taper = self.width * (self.size - seen.x.abs()) / self.size;
        if seen.y.abs() > taper {
            return None;
        }
        let vein = seen.y.abs() < PX || (seen.x + seen.y.abs()).rem_euclid(9 * PX) < PX;
        Some(shade(self.colour, noise(seen, 5, 122) / 6 - 20 - if vein { 34 } else { 0 }))
    }
}

fn leaves(time: i32) -> Painter {
    let leaves: Vec<Leaf> = (0..30).map(|leaf| Leaf::at_time(leaf, time)).collect();
    Box::new(move |point, backdrop| {
        // The sun through branches: soft patches of light wander over the wall.
        let light = || noise(Point { x: point.x + sine(time * 5) * 3, y: point.y + time * 6 }, 11, 111);
        let leaf = leaves.iter().rev().find_map(|leaf| leaf.colour_at(point));
        leaf.unwrap_or_else(|| shade(backdrop, (light() - 128) / 4))
    })
}

fn sailboat(time: i32, point: Point, backdrop: Rgb) -> Rgb {
    if let Some(boat) = boat(time, point) {
        return boat;
    }
    let shore = 250 * PX;
    if point.y < shore {
        let sky = point.y < 120 * PX;
        return if sky { clouds(time, point, backdrop, 26) } else { backdrop };
    }
    // Ripples grow and speed up towards the viewer.
    let near = (point.y - shore) / PX + 30;
    let x = (point.x - 416 * PX) * 200 / near + sine(point.y / 5 - time * 16) * 60 / near;
    let y = (point.y - shore) * 900 / near - time * 26;
    let crest = fractal(Point { x, y }, 8, 131) - fractal(Point { x: x + time * 20, y: y * 2 }, 7, 132);
    mix(shade([44, 92, 128], -near / 8), [206, 226, 236], crest * 2 + 20)
}

fn boat(time: i32, point: Point) -> Option<Rgb> {
    let bob = sine(time * 15);
    let seen = point.from(at(90 + time * 3, 330 + bob / 50)).turned(sine(time * 11) / 12);
    let (x, y) = (seen.x / PX, seen.y / PX);
    let hull = (0..34).contains(&y) && x.abs() < 84 - y && x > -84 + y * 2;
    if hull {
        let plank = if y % 9 == 0 { -30 } else { 0 };
        return Some(shade([128, 70, 40], plank + noise(seen, 6, 133) / 8 - 16));
    }
    if (-170..0).contains(&y) && x.abs() < 3 {
        return Some([84, 60, 44]);
    }
    // The sails belly out and flutter at their edges.
    let belly = (y + 165) * (-8 - y) / 130 + sine(time * 40 + y * 12) / 90;
    let main = (-165..-8).contains(&y) && x > 4 && x < (y + 165) / 3 + belly;
    let jib = (-140..-8).contains(&y) && x < -4 && x > -(y + 140) / 3 - belly / 3;
    (main || jib).then(|| shade([238, 236, 226], -x / 3 - (y.rem_euclid(28) < 2) as i32 * 26))
}

struct Car {
    place: Point,
    direction: i32,
    size: i32,
    paint: Rgb,
    travelled: i32,
}

/// Cars of three lanes, nearest first.
fn cars(time: i32) -> Vec<Car> {
    const COLOURS: [Rgb; 5] = [[186, 30, 36], [28, 74, 168], [230, 226, 216], [36, 40, 44], [224, 176, 40]];
    let car = |lane: i32, car: i32| {
        // One lane, one speed: nobody drives through another car.
        let travelled = car * 430 + lane * 130 + time * [4, 3, 6][lane as usize];
        let x = travelled.rem_euclid(1_290) - 220;
        let direction = if lane == 1 { -1 } else { 1 };
        Car {
            place: at(if direction > 0 { x } else { 832 - x }, 318 + lane * 52),
            direction,
            size: 60 + lane * 14,
            paint: COLOURS[(lane * 3 + car) as usize % COLOURS.len()],
            travelled,
        }
    };
    (0..3)
        .rev()
        .flat_map(|lane| (0..3).map(move |index| (lane, index)))
        .map(|(lane, index)| car(lane, index))
        .collect()
}

fn traffic(time: i32) -> Painter {
    let cars = cars(time);
    Box::new(move |point, backdrop| {
        let car = cars.iter().find_map(|car| {
            let mut seen = point.from(car.place);
            seen.x *= car.direction;
            one_car(seen, car.size, car.paint, car.travelled)
        });
        car.unwrap_or_else(|| road(time, point, backdrop))
    })
}

fn road(time: i32, point: Point, backdrop: Rgb) -> Rgb {
    if point.y < 290 * PX {
        return if point.y < 120 * PX { clouds(time, point, backdrop, 18) } else { backdrop };
    }
    let dash = (point.x / PX).rem_euclid(90) < 46 && (348..352).contains(&(point.y / PX));
    let asphalt = shade([92, 92, 94], fractal(point, 5, 142) / 5 - 25);
    if dash { [226, 222, 206] } else { asphalt }
}

fn one_car(seen: Point, size: i32, paint: Rgb, travelled: i32) -> Option<Rgb> {
    let (x, y) = (seen.x / PX, seen.y / PX);
    if x.abs() > size || y.abs() > size {
        return None;
    }
    for axle in [-size * 5 / 8, size * 5 / 8] {
        let wheel = seen.from(at(axle, 0));
        let radius = i64::from(size * PX / 5);
        if wheel.norm() <= radius * radius {
            let turned = wheel.turned(travelled * 12);
            let spoke = turned.x.abs() < 2 * PX || turned.y.abs() < 2 * PX;
            let rim = wheel.norm() * 2 < radius * radius;
            return Some(if rim && !spoke { [176, 178, 180] } else { [26, 26, 28] });
        }
    }
    let body = x.abs() < size && (-size / 2..0).contains(&y);
    let slope = (y + size * 9 / 10) / 2;
    let cabin = (-size * 9 / 10..-size / 2 + 1).contains(&y) && x > -size / 2 - slope && x < size / 3 + slope;
    let window = cabin && y > -size * 4 / 5 && (x + size / 14).abs() > size / 22;
    match (window, cabin || body) {
        (true, _) => Some(shade([120, 146, 164], (x - y) / 2 % 40)),
        (false, true) => Some(shade(paint, -y / 3 - 12)),
        _ => None,
    }
}

fn wheat(time: i32, point: Point, sky: Rgb) -> Rgb {
    let horizon = 190 * PX + sine(point.x / 40) / 2;
    if point.y < horizon {
        return clouds(time, point, sky, 20);
    }
    // Each stalk is fixed at its foot; the gust's wave pushes its head, more for nearer rows.
    let near = (point.y - horizon) / PX + 26;
    let gust = sine(point.x / (near / 8 + 6) - time * 20 + point.y / 7);
    let slow = sine(point.x / 30 - time * 7);
    let bent = (point.x - 416 * PX) * 110 / near + (gust * 2 + slow) * 26 / 60;
    let stalk = noise(Point { x: bent * 6, y: point.y * 60 / near }, 7, 151);
    let ear = noise(Point { x: bent * 3, y: (point.y + gust / 3) * 160 / near }, 7, 152);
    shade([196, 156, 62], (stalk - 128) / 3 + (ear - 128) / 4 + gust / 12 - 200 / near)
}
