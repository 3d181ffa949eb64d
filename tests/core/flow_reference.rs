//! The stages of flow once more, read from `docs/flow.md`: one value at a time, in i64, coordinates clamped at every
//! read. Slow; the twins must agree with it bit for bit.

use leoma_core::quality::flow::stages::Named;

/// A luma plane and its size.
#[derive(Clone)]
struct Plane {
    width: i64,
    height: i64,
    values: Vec<i64>,
}

impl Plane {
    fn at(&self, x: i64, y: i64) -> i64 {
        let (x, y) = (x.clamp(0, self.width - 1), y.clamp(0, self.height - 1));
        self.values[(y * self.width + x) as usize]
    }

    /// Bilinear, at 1/32 pixel, in 1/16 level.
    fn sample(&self, x: i64, y: i64) -> i64 {
        let (fx, fy, x, y) = (x & 31, y & 31, x >> 5, y >> 5);
        let row = |y: i64| ((32 - fx) * self.at(x, y) + fx * self.at(x + 1, y) + 2) >> 2;
        ((32 - fy) * row(y) + fy * row(y + 1) + 8) >> 4
    }

    fn half(&self) -> Self {
        let (width, height) = ((self.width + 1) / 2, (self.height + 1) / 2);
        let values = (0..width * height)
            .map(|i| {
                let (x, y) = (2 * (i % width), 2 * (i / width));
                (self.at(x, y) + self.at(x + 1, y) + self.at(x, y + 1) + self.at(x + 1, y + 1) + 2) >> 2
            })
            .collect();
        Self { width, height, values }
    }
}

fn pyramid(pixels: &[u8], width: usize, height: usize) -> Vec<Plane> {
    let values = pixels.iter().map(|&v| i64::from(v)).collect();
    let mut levels = vec![Plane { width: width as i64, height: height as i64, values }];
    while levels.len() < 8 {
        let next = levels[levels.len() - 1].half();
        if next.width.min(next.height) < 12 {
            break;
        }
        levels.push(next);
    }
    levels
}

type Vector = (i64, i64);

struct Patch<'a> {
    first: &'a Plane,
    second: &'a Plane,
    left: i64,
    top: i64,
}

impl Patch<'_> {
    fn pixels(&self) -> impl Iterator<Item = (i64, i64)> + use<'_> {
        (0..64).map(|i| (self.left + i % 8, self.top + i / 8))
    }

    fn residual(&self, (x, y): (i64, i64), v: Vector) -> i64 {
        self.second.sample(32 * x + v.0, 32 * y + v.1) - 16 * self.first.at(x, y)
    }

    fn gradient(&self, (x, y): (i64, i64)) -> (i64, i64) {
        let p = self.first;
        (p.at(x + 1, y) - p.at(x - 1, y), p.at(x, y + 1) - p.at(x, y - 1))
    }

    fn mean(&self, v: Vector) -> i64 {
        self.pixels().map(|p| self.residual(p, v)).sum::<i64>().div_euclid(64)
    }

    fn cost(&self, v: Vector) -> i64 {
        let mean = self.mean(v);
        self.pixels().map(|p| (self.residual(p, v) - mean).pow(2)).sum()
    }

    fn step(&self, v: Vector) -> Vector {
        let sum = |value: &dyn Fn((i64, i64)) -> i64| self.pixels().map(value).sum::<i64>();
        let (gx, gy) = (|p| self.gradient(p).0, |p| self.gradient(p).1);
        let (sum_x, sum_y, mean) = (sum(&gx), sum(&gy), self.mean(v));
        let xx = sum(&|p| gx(p) * gx(p)) - sum_x * sum_x / 64 + 1024;
        let yy = sum(&|p| gy(p) * gy(p)) - sum_y * sum_y / 64 + 1024;
        let xy = sum(&|p| gx(p) * gy(p)) - sum_x * sum_y / 64;
        let mut shift = 0;
        while xx.max(yy) >> shift >= 1 << 12 {
            shift += 1;
        }
        let (xx, xy, yy) = (xx >> shift, xy >> shift, yy >> shift);
        let right = |product: i64, sum: i64| ((product - sum * mean) >> shift).clamp(-(1 << 15), 1 << 15);
        let bx = right(sum(&|p| gx(p) * self.residual(p, v)), sum_x);
        let by = right(sum(&|p| gy(p) * self.residual(p, v)), sum_y);
        let determinant = (xx * yy - xy * xy).max(1);
        let solve = |numerator: i64| (-4 * numerator / determinant).clamp(-64, 64);
        (solve(yy * bx - xy * by), solve(xx * by - xy * bx))
    }

    fn descend(&self, start: Vector, steps: usize) -> (Vector, i64) {
        let mut best = (start, self.cost(start));
        for _ in 0..steps {
            let step = self.step(best.0);
            let next = (bounded(best.0.0 + step.0), bounded(best.0.1 + step.1));
            let cost = self.cost(next);
            if step == (0, 0) || cost >= best.1 {
                break;
            }
            best = (next, cost);
        }
        best
    }

    fn cheapest(&self, start: Vector, others: [Vector; 4]) -> Vector {
        let mut tried = vec![start];
        let mut best = start;
        for other in others {
            let is_new = tried.iter().all(|t| (t.0 - other.0).abs() + (t.1 - other.1).abs() >= 32);
            tried.push(other);
            if is_new && self.cost(other) < self.cost(best) {
                best = other;
            }
        }
        best
    }
}

fn bounded(component: i64) -> i64 {
    component.clamp(-511 * 32, 511 * 32)
}

/// Vectors on a grid `[rows, columns]`.
struct Grid {
    columns: i64,
    rows: i64,
    vectors: Vec<Vector>,
}

impl Grid {
    fn at(&self, x: i64, y: i64) -> Vector {
        let (x, y) = (x.clamp(0, self.columns - 1), y.clamp(0, self.rows - 1));
        self.vectors[(y * self.columns + x) as usize]
    }
}

fn densify(first: &Plane, second: &Plane, patches: &Grid) -> Grid {
    let pixel = |x: i64, y: i64| {
        let (mut weight, mut sum) = (0, (0, 0));
        for row in [(y - 2).div_euclid(4), (y - 2).div_euclid(4) + 1] {
            for column in [(x - 2).div_euclid(4), (x - 2).div_euclid(4) + 1] {
                if row < 0 || column < 0 || row >= patches.rows || column >= patches.columns {
                    continue;
                }
                let v = patches.at(column, row);
                let patch = Patch { first, second, left: 4 * column - 2, top: 4 * row - 2 };
                let w = (32 - patch.residual((x, y), v).abs() / 16).max(1).pow(2);
                weight += w;
                sum = (sum.0 + w * v.0, sum.1 + w * v.1);
            }
        }
        let nearest = |sum: i64| (sum.abs() + weight / 2) / weight * sum.signum();
        (nearest(sum.0), nearest(sum.1))
    };
    let vectors = (0..first.width * first.height).map(|i| pixel(i % first.width, i / first.width)).collect();
    Grid { columns: first.width, rows: first.height, vectors }
}

fn fates(there: &Grid, back: &Grid) -> Vec<i64> {
    let square = |v: Vector| v.0 * v.0 + v.1 * v.1;
    (0..there.columns * there.rows)
        .map(|i| {
            let (x, y) = (i % there.columns, i / there.columns);
            let f = there.at(x, y);
            let q = (x + ((f.0 + 16) >> 5), y + ((f.1 + 16) >> 5));
            if q.0 < 0 || q.1 < 0 || q.0 >= there.columns || q.1 >= there.rows {
                return 2;
            }
            let b = back.at(q.0, q.1);
            let off = |v: i64| v.clamp(-8192, 8192);
            i64::from(square((off(f.0 + b.0), off(f.1 + b.1))) > 512 + (square(f) + square(b)) / 100)
        })
        .collect()
}

/// Every output by name, in the order of the twins.
pub fn named(first: &[u8], second: &[u8], width: usize, height: usize) -> Vec<Named> {
    let mut all = Vec::new();
    let mut note = |name: String, values: Vec<i64>| {
        all.push(Named { name, values: values.into_iter().map(|v| v as i32).collect() });
    };
    let frames = [pyramid(first, width, height), pyramid(second, width, height)];
    for (name, levels) in ["first", "second"].iter().zip(&frames) {
        for (level, plane) in levels.iter().enumerate() {
            note(format!("pyramid.{level}.{name}"), plane.values.clone());
        }
    }
    let flat = |grid: &Grid| grid.vectors.iter().flat_map(|v| [v.0, v.1]).collect::<Vec<_>>();
    let mut fields = Vec::new();
    for (direction, [from, to]) in [("forward", [0, 1]), ("backward", [1, 0])] {
        let mut coarser: Option<Grid> = None;
        for level in (0..frames[0].len()).rev() {
            let (a, b) = (&frames[from][level], &frames[to][level]);
            let (columns, rows) = ((a.width + 3) / 4, (a.height + 3) / 4);
            let each = |stage: &dyn Fn(&Patch, i64, i64) -> (Vector, i64)| -> (Grid, Vec<i64>) {
                let found: Vec<_> = (0..columns * rows)
                    .map(|i| {
                        let (column, row) = (i % columns, i / columns);
                        let patch = Patch { first: a, second: b, left: 4 * column - 2, top: 4 * row - 2 };
                        stage(&patch, column, row)
                    })
                    .collect();
                let values = found.iter().flat_map(|&(v, cost)| [v.0, v.1, cost]).collect();
                (Grid { columns, rows, vectors: found.into_iter().map(|(v, _)| v).collect() }, values)
            };
            let (mut patches, values) = each(&|patch, column, row| {
                let start = coarser.as_ref().map_or((0, 0), |coarser| {
                    let near = |dx: i64, dy: i64| {
                        let v = coarser.at(2 * column + 1 + dx, 2 * row + 1 + dy);
                        (bounded(2 * v.0), bounded(2 * v.1))
                    };
                    patch.cheapest(near(0, 0), [near(-4, 0), near(4, 0), near(0, -4), near(0, 4)])
                });
                patch.descend(start, if level == 0 { 2 } else { 4 })
            });
            note(format!("search.{level}.{direction}"), values);
            if level > 0 {
                let (improved, values) = each(&|patch, x, y| {
                    let beside = [(x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)];
                    let start = patch.cheapest(patches.at(x, y), beside.map(|(x, y)| patches.at(x, y)));
                    patch.descend(start, 2)
                });
                note(format!("improve.{level}.{direction}"), values);
                patches = improved;
            }
            let field = densify(a, b, &patches);
            note(format!("densify.{level}.{direction}"), flat(&field));
            coarser = Some(field);
        }
        fields.extend(coarser);
    }
    note("fates.forward".to_owned(), fates(&fields[0], &fields[1]));
    note("fates.backward".to_owned(), fates(&fields[1], &fields[0]));
    all
}
