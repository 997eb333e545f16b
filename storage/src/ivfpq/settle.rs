//! How many lists does this search read and how deep does it look, or is it cheaper to compare every row?

use super::recall::Point;
use super::search::{Index, SearchParams};
use crate::StorageError;

/// With at most this many wanted rows, reading them all is faster than probing.
pub(super) const FEW: usize = 1024;
/// Codes that could be scored in the time it takes to fetch and score a row from anywhere in the matrix.
pub(super) const ROW_COST: f32 = 60.0;
/// The same for a row among all others, read in order by two cores.
const ROW_IN_ORDER_COST: f32 = 30.0;
/// Lookups grow this slowly with the number of hits wanted (an exponent): the best candidates crowd at the top.
const DEPTH_GROWTH: f64 = 0.85;

/// What a search settles on before it starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) nprobe: usize,
    pub(super) rescore: usize,
    pub(super) recall: Option<f32>,
}

impl Index {
    /// Nprobe and depth for `params` where `wanted` rows pass the filter; `None` when the search should be exact.
    pub(super) fn settle(
        &self,
        params: &SearchParams,
        wanted: Option<usize>,
    ) -> Result<Option<Setting>, StorageError> {
        check(params)?;
        let by_hand = params.nprobe.is_some() || params.rescore.is_some();
        if wanted.is_some_and(|wanted| wanted <= FEW.max(params.k))
            || (!by_hand && params.target_recall >= 1.0)
        {
            return Ok(None);
        }
        let points = self.measured().0;
        let point = points.iter().find(|p| p.recall >= params.target_recall);
        let point = point.or(points.last().filter(|_| params.always_probe));
        if point.is_none() && params.nprobe.is_none() {
            return Ok(None);
        }
        let setting = self.setting(params, point, wanted);
        let pays = by_hand || params.always_probe || self.pays(&setting, wanted);
        Ok(pays.then_some(setting))
    }

    fn setting(
        &self,
        params: &SearchParams,
        point: Option<&Point>,
        wanted: Option<usize>,
    ) -> Setting {
        // More hits, or fewer wanted rows, reach further out; how much further was measured once and is a
        // square root in both.
        let more = params.k.max(10) as f64 / 10.0;
        let share = self.share(wanted);
        let nprobe = params.nprobe.unwrap_or_else(|| {
            let base = point.map_or(1, |p| p.nprobe);
            (f64::from(base) * (more / share).sqrt()).ceil() as usize
        });
        let depth = point.map_or(64, |p| p.rescore);
        let depth = (f64::from(depth) * more.powf(DEPTH_GROWTH)).ceil() as usize;
        let copies = self.view().geometry.copies;
        let as_measured = params.nprobe.is_none() && params.rescore.is_none() && share > 0.5;
        Setting {
            nprobe: nprobe.min(self.lists()),
            rescore: params
                .rescore
                .unwrap_or(depth)
                .max(params.k * copies)
                .max(1),
            recall: point.filter(|_| as_measured).map(|p| p.recall),
        }
    }

    /// Share of the rows that pass the filter, above 0 to 1.
    fn share(&self, wanted: Option<usize>) -> f64 {
        let share = |wanted| wanted as f64 / self.matrix.len().max(1) as f64;
        wanted.map_or(1.0, share).clamp(f64::MIN_POSITIVE, 1.0)
    }

    /// Is probing as `setting` says cheaper than comparing every wanted row?
    fn pays(&self, setting: &Setting, wanted: Option<usize>) -> bool {
        let codes = self.vectors() * self.view().geometry.copies;
        let scanned = codes as f32 * setting.nprobe as f32 / self.lists() as f32;
        // Routing scores every list once.
        let probing = self.lists() as f32 + scanned + ROW_COST * setting.rescore as f32;
        let rows = wanted.unwrap_or(self.matrix.len());
        let exact = if self.share(wanted) < 0.5 {
            ROW_COST * rows as f32
        } else {
            ROW_IN_ORDER_COST * rows as f32
        };
        probing < exact
    }
}

fn check(params: &SearchParams) -> Result<(), StorageError> {
    if params.nprobe == Some(0) {
        return Err(StorageError::Invalid(
            "nprobe is 0; probe at least one list".into(),
        ));
    }
    if !(0.0..=1.0).contains(&params.target_recall) {
        let target = params.target_recall;
        return Err(StorageError::Invalid(format!(
            "a target recall of {target}; it is a share from 0 to 1"
        )));
    }
    Ok(())
}
