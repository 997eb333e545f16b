use super::*;
use crate::oracle;

#[test]
fn steps_are_counted_and_their_loss_is_a_number() {
    let load = Load {
        batch: 4,
        length: 8,
        steps: 2,
        compute: Compute::Auto,
        device: Choice::Cpu,
    };
    let quiet = std::sync::atomic::AtomicBool::new(false);
    let speed =
        measure(&oracle::model_dir("bert"), load, Task::new(&|_| {}, &quiet)).expect("a speed");
    assert_eq!(
        (speed.by, speed.device.as_str()),
        ("plain operations", "CPU")
    );
    assert!(speed.sequences_per_second > 0.0 && speed.loss.is_finite());
}
