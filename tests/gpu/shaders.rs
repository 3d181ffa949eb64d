//! Every shader is translated for every backend, so that a mistake which only Metal or DX12 would see is seen here.

use leoma_gpu::shader::Kernel;
use naga::{
    back::{hlsl, msl, spv},
    valid::{Capabilities, ModuleInfo, ValidationFlags, Validator},
};

fn validated(kernel: Kernel) -> (naga::Module, ModuleInfo) {
    let source = kernel.source();
    let module = naga::front::wgsl::parse_str(&source)
        .unwrap_or_else(|e| panic!("{}: {}", kernel.name(), e.emit_to_string(&source)));
    // No capability beyond WebGPU's own.
    let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .unwrap_or_else(|e| panic!("{}: {}", kernel.name(), e.emit_to_string(&source)));
    (module, info)
}

#[test]
fn every_shader_translates_to_spirv_msl_and_hlsl() {
    for &kernel in Kernel::ALL {
        let ((module, info), name) = (validated(kernel), kernel.name());
        let words = spv::write_vec(&module, &info, &spv::Options::default(), None).expect(name);
        assert_eq!(words[0], 0x0723_0203, "{} is SPIR-V", name);
        let metal = msl::Options { fake_missing_bindings: true, ..msl::Options::default() };
        let (text, _) =
            msl::write_string(&module, &info, &metal, &msl::PipelineOptions::default()).expect(name);
        assert!(text.contains("kernel void"), "{} is MSL", kernel.name());
        let options = hlsl::Options::default();
        let pipeline = hlsl::PipelineOptions::default();
        let mut text = String::new();
        hlsl::Writer::new(&mut text, &options, &pipeline).write(&module, &info, None).expect(name);
        assert!(text.contains("[numthreads("), "{} is HLSL", kernel.name());
    }
}

#[test]
fn shaders_know_no_floats_and_import_everything_they_name() {
    for &kernel in Kernel::ALL {
        let source = kernel.source();
        assert!(!source.contains("#import"), "{} names a missing part", kernel.name());
        for float in ["f32", "f16"] {
            assert!(
                !source.contains(float),
                "{} computes in {float}: scored kernels are integer",
                kernel.name()
            );
        }
        let (module, _) = validated(kernel);
        let entry = &module.entry_points[0];
        assert_eq!((module.entry_points.len(), entry.name.as_str()), (1, "main"), "{}", kernel.name());
        assert!(entry.workgroup_size.iter().product::<u32>() <= 256, "{}", kernel.name());
    }
}
