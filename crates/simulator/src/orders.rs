//! The faults and holds in force, and what they mean for the next call.

use std::net::IpAddr;

use crate::faults::{Fault, FaultKind, Hold, Point};
use crate::rules::Endpoint;

/// What scopes are compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) app_id: &'a str,
    pub(crate) caller: IpAddr,
    pub(crate) endpoint: Endpoint,
}

/// What awaits a call. It is settled when the call is received, so that an order given later
/// never reaches back to a call already under way.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) fault: Option<FaultKind>,
    pub(crate) hold_received: bool,
    pub(crate) hold_processed: bool,
}

/// The faults and holds in force.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    faults: Vec<Fault>,
    holds: Vec<Hold>,
}

impl Orders {
    pub(crate) fn add_fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(crate) fn clear_faults(&mut self) {
        self.faults.clear();
    }

    pub(crate) fn faults(&self) -> &[Fault] {
        &self.faults
    }

    pub(crate) fn add_hold(&mut self, hold: Hold) {
        self.holds.push(hold);
    }

    pub(crate) fn clear_holds(&mut self) {
        self.holds.clear();
    }

    /// The first fault in the order of their coming, and every hold, that is meant for this call.
    pub(crate) fn plan(&mut self, target: Target<'_>) -> Plan {
        let mut plan = Plan::default();
        if let Some(fault) = self.faults.iter_mut().find(|fault| fault.scope.matches(target)) {
            fault.scope.spend();
            plan.fault = Some(fault.kind.clone());
        }
        for hold in self.holds.iter_mut().filter(|hold| hold.scope.matches(target)) {
            let held = match hold.point {
                Point::Received | Point::Hung => &mut plan.hold_received,
                Point::Processed => &mut plan.hold_processed,
            };
            if !*held {
                *held = true;
                hold.scope.spend();
            }
        }
        self.faults.retain(|fault| fault.scope.times != Some(0));
        self.holds.retain(|hold| hold.scope.times != Some(0));
        plan
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::faults::Scope;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 8));

    fn target(caller: IpAddr) -> Target<'static> {
        Target { app_id: "wx1", caller, endpoint: Endpoint::Legacy }
    }

    #[test]
    fn a_fault_strikes_the_calls_it_is_meant_for_and_then_ends() {
        let mut orders = Orders::default();
        let scope = Scope::account("wx1").from_caller(HERE).times(1);
        orders.add_fault(Fault { kind: FaultKind::Hang, scope });
        assert_eq!(orders.plan(target(THERE)), Plan::default());
        let probe = Target { endpoint: Endpoint::Probe, ..target(HERE) };
        assert_eq!(orders.plan(probe), Plan::default());
        assert_eq!(orders.plan(target(HERE)).fault, Some(FaultKind::Hang));
        assert_eq!(orders.plan(target(HERE)), Plan::default());
        assert!(orders.faults().is_empty());
    }

    #[test]
    fn faults_strike_in_the_order_of_their_coming() {
        let mut orders = Orders::default();
        orders.add_fault(Fault { kind: FaultKind::LostReply, scope: Scope::default().times(1) });
        orders.add_fault(Fault { kind: FaultKind::Hang, scope: Scope::default() });
        let kinds = [(); 3].map(|()| orders.plan(target(HERE)).fault);
        let (lost, hang) = (Some(FaultKind::LostReply), Some(FaultKind::Hang));
        assert_eq!(kinds, [lost, hang.clone(), hang]);
    }

    #[test]
    fn a_call_can_be_held_at_both_points() {
        let mut orders = Orders::default();
        for point in [Point::Received, Point::Processed] {
            orders.add_hold(Hold { point, scope: Scope::default().times(1) });
        }
        let plan = orders.plan(target(HERE));
        assert!(plan.hold_received && plan.hold_processed);
        assert_eq!(orders.plan(target(HERE)), Plan::default());
    }

    #[test]
    fn a_fault_is_one_flat_object_in_json() {
        let fault: Fault =
            serde_json::from_str(r#"{"kind":"cut","issue":true,"app_id":"wx1","times":2}"#)
                .unwrap();
        assert_eq!(fault.kind, FaultKind::Cut { issue: true });
        assert_eq!(fault.scope, Scope::account("wx1").times(2));
        let fault: Fault = serde_json::from_str(r#"{"kind":"hang"}"#).unwrap();
        assert_eq!(fault, Fault { kind: FaultKind::Hang, scope: Scope::default() });
    }
}
