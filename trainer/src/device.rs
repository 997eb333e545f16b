//! On which device of this computer is trained?
//!
//! Adapters are listed before any is opened, because opening one that is not there would end the program. A software
//! rasteriser is an adapter like any other when it is asked for by name, and never chosen by `auto`: the CPU path is
//! several times faster than Vulkan emulated on the same CPU.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use burn::tensor::wgpu::WgpuBackend;
use burn::tensor::{Device, DeviceKind};
use burn_wgpu::wgpu;
use serde::{Deserialize, Serialize};

/// What a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// The first GPU, discrete ones before integrated ones; the CPU if there is none.
    #[default]
    Auto,
    /// burn's CPU path.
    Cpu,
    /// An adapter over Vulkan, software ones included.
    Vulkan,
    /// An adapter over Metal.
    Metal,
}

impl Choice {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
        }
    }
}

/// How a program talks to a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Vulkan 1.2 or newer.
    Vulkan,
    /// Metal, on Apple machines.
    Metal,
}

impl Api {
    fn name(self) -> &'static str {
        match self {
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
        }
    }
}

/// What an adapter is. The order is that of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdapterKind {
    /// A card with its own memory.
    Discrete,
    /// Part of the processor.
    Integrated,
    /// Passed through to a virtual machine.
    Virtual,
    /// What the driver does not name.
    Other,
    /// A program that emulates a GPU on the CPU.
    Software,
}

/// One way to reach one GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapter {
    /// The interface.
    pub api: Api,
    /// What it is.
    pub kind: AdapterKind,
    /// Its name, as the driver gives it.
    pub name: String,
    /// Driver and version, as it gives itself.
    pub driver: String,
    /// Its place among the adapters of its kind and interface.
    index: usize,
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.name, self.api.name())?;
        if self.kind == AdapterKind::Software {
            f.write_str(", software")?;
        }
        f.write_str(")")
    }
}

/// A device that can be trained on.
#[derive(Debug, Clone)]
pub struct Opened {
    /// For tensors.
    pub device: Device,
    /// What to call it in front of people.
    pub name: String,
    /// The adapter; `None` for the CPU.
    pub adapter: Option<Adapter>,
}

impl Opened {
    /// burn's CPU path, which is always there.
    pub fn cpu() -> Self {
        Self {
            device: Device::flex(),
            name: "CPU".into(),
            adapter: None,
        }
    }

    /// Whether batches are computed elsewhere than on the cores that the rest of the program runs on.
    pub fn is_gpu(&self) -> bool {
        self.adapter
            .as_ref()
            .is_some_and(|a| a.kind != AdapterKind::Software)
    }

    /// Whether shapes are compiled and tuned one by one.
    pub fn tunes_shapes(&self) -> bool {
        self.adapter.is_some()
    }
}

/// No device can be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// There is no adapter of that interface.
    #[error("there is no {wanted} device; this computer has: {}; choose --device {}", found.join(", "), others(wanted))]
    Absent {
        /// Name of the interface.
        wanted: &'static str,
        /// What there is.
        found: Vec<String>,
    },
    /// The adapter is there and refuses.
    #[error("{adapter} cannot be opened: {detail}; choose --device cpu")]
    Refused {
        /// Its name.
        adapter: String,
        /// The driver's answer.
        detail: String,
    },
}

fn others(wanted: &str) -> String {
    let names = ["auto", "cpu", "vulkan", "metal"];
    let others: Vec<&str> = names.into_iter().filter(|n| *n != wanted).collect();
    others.join(", ")
}

/// The adapters over Metal and Vulkan, the preferred one first.
pub fn adapters() -> Vec<Adapter> {
    let mut found: Vec<Adapter> = [Api::Metal, Api::Vulkan]
        .into_iter()
        .flat_map(adapters_of)
        .collect();
    found.sort_by_key(|a| a.kind);
    found
}

fn adapters_of(api: Api) -> Vec<Adapter> {
    let backends = match api {
        Api::Vulkan => wgpu::Backends::VULKAN,
        Api::Metal => wgpu::Backends::METAL,
    };
    let infos = {
        // Vulkan loaders crash when instances come and go on several threads.
        let _alone = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends,
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        let adapters = ready(instance.enumerate_adapters(backends));
        adapters
            .iter()
            .map(wgpu::Adapter::get_info)
            .collect::<Vec<_>>()
    };
    // burn counts the adapters of each kind by themselves, in this order.
    let mut seen = [0usize; 5];
    infos
        .into_iter()
        .map(|info| {
            let kind = kind_of(info.device_type);
            let index = seen[kind as usize];
            seen[kind as usize] += 1;
            Adapter {
                api,
                kind,
                name: info.name,
                driver: format!("{} {}", info.driver, info.driver_info)
                    .trim()
                    .into(),
                index,
            }
        })
        .collect()
}

fn kind_of(device_type: wgpu::DeviceType) -> AdapterKind {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
        wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
        wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
        wgpu::DeviceType::Cpu => AdapterKind::Software,
        wgpu::DeviceType::Other => AdapterKind::Other,
    }
}

/// The result of a future that never waits, as wgpu's are outside browsers.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

/// Adapters opened so far; burn opens each once a process.
static OPENED: Mutex<Vec<(Adapter, Device)>> = Mutex::new(Vec::new());

/// Opens what `choice` asks for.
///
/// # Errors
/// An interface without an adapter, naming those there are; a driver that refuses.
pub fn open(choice: Choice) -> Result<Opened, DeviceError> {
    let wanted = |adapter: &Adapter| match choice {
        Choice::Auto => adapter.kind != AdapterKind::Software && adapter.kind != AdapterKind::Other,
        Choice::Cpu => false,
        Choice::Vulkan => adapter.api == Api::Vulkan,
        Choice::Metal => adapter.api == Api::Metal,
    };
    if choice == Choice::Cpu {
        return Ok(Opened::cpu());
    }
    let all = adapters();
    match all.iter().find(|a| wanted(a)) {
        Some(adapter) => open_adapter(adapter),
        None if choice == Choice::Auto => Ok(Opened::cpu()),
        None => Err(DeviceError::Absent {
            wanted: choice.name(),
            found: std::iter::once("CPU (cpu)".to_owned())
                .chain(all.iter().map(ToString::to_string))
                .collect(),
        }),
    }
}

fn open_adapter(adapter: &Adapter) -> Result<Opened, DeviceError> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let known = opened.iter().find(|(a, _)| a == adapter);
    let device = match known {
        Some((_, device)) => device.clone(),
        None => {
            let device = initialise(adapter)?;
            opened.push((adapter.clone(), device.clone()));
            device
        }
    };
    Ok(Opened {
        device,
        name: adapter.to_string(),
        adapter: Some(adapter.clone()),
    })
}

fn initialise(adapter: &Adapter) -> Result<Device, DeviceError> {
    let refused = |detail: String| DeviceError::Refused {
        adapter: adapter.to_string(),
        detail,
    };
    let kind = match adapter.kind {
        AdapterKind::Discrete => DeviceKind::DiscreteGpu(adapter.index),
        AdapterKind::Integrated => DeviceKind::IntegratedGpu(adapter.index),
        AdapterKind::Virtual => DeviceKind::VirtualGpu(adapter.index),
        AdapterKind::Software => DeviceKind::Cpu,
        AdapterKind::Other => return Err(refused("its kind is unknown".into())),
    };
    let api = match adapter.api {
        Api::Vulkan => WgpuBackend::Vulkan,
        Api::Metal => WgpuBackend::Metal,
    };
    Device::wgpu_options()
        .device_kind(kind)
        .graphics_api(api)
        .init()
        .map_err(|e| refused(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there_and_auto_never_takes_a_rasteriser() {
        assert_eq!(open(Choice::Cpu).expect("the CPU").name, "CPU");
        let auto = open(Choice::Auto).expect("at least the CPU");
        let kind = auto.adapter.map(|a| a.kind);
        assert_ne!(kind, Some(AdapterKind::Software));
    }

    #[test]
    fn an_absent_device_is_named_beside_those_there_are() {
        let choice = if cfg!(target_os = "macos") {
            Choice::Vulkan
        } else {
            Choice::Metal
        };
        let error = open(choice).expect_err("no such device here").to_string();
        assert!(
            error.contains(choice.name()) && error.contains("CPU (cpu)"),
            "{error}"
        );
    }
}
