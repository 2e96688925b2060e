use redis::Value;

/// A part of a cluster's keys.
pub(super) type HashSlot = u16;

/// Fixed by the specification of Redis Cluster.
const SLOTS: u16 = 16_384;

/// Which node of a cluster has which slots.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SlotMap {
    /// First and last slot, and the node.
    ranges: Vec<(HashSlot, HashSlot, usize)>,
}

impl SlotMap {
    /// Reads the answer to `CLUSTER SLOTS`: the slots, and the addresses of the nodes that write. A
    /// node that does not say where it is, is at `host`.
    pub(super) fn read(reply: &Value, host: &str) -> Option<(Self, Vec<String>)> {
        let (mut ranges, mut addresses) = (Vec::new(), Vec::new());
        for range in array(reply)? {
            let [first, last, node, ..] = array(range)? else {
                return None;
            };
            let [name, port, ..] = array(node)? else {
                return None;
            };
            let name = match name {
                Value::BulkString(name) if !name.is_empty() => str::from_utf8(name).ok()?,
                _ => host,
            };
            let name = match name.contains(':') {
                true => format!("[{name}]"),
                false => name.to_owned(),
            };
            let address = format!("redis://{name}:{}", number(port)?);
            let at = addresses.iter().position(|known| *known == address);
            let at = at.unwrap_or_else(|| {
                addresses.push(address);
                addresses.len() - 1
            });
            ranges.push((number(first)?, number(last)?, at));
        }
        (!ranges.is_empty()).then_some((Self { ranges }, addresses))
    }

    /// The node of a slot. Of one that no node has, any: its answer says so, and the store counts
    /// as away.
    pub(super) fn node_of(&self, slot: HashSlot) -> usize {
        self.ranges
            .iter()
            .find(|(first, last, _)| (*first..=*last).contains(&slot))
            .map_or(0, |(_, _, node)| *node)
    }
}

/// The slot of all keys with this hash tag: CRC16 (XMODEM) of it, as
/// <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/> has it.
pub(super) fn slot_of(tag: &str) -> HashSlot {
    let crc = tag.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    });
    crc % SLOTS
}

fn array(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u16> {
    match value {
        Value::Int(number) => u16::try_from(*number).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: i64, last: i64, host: &str, port: i64) -> Value {
        let node = Value::Array(vec![
            Value::BulkString(host.as_bytes().to_vec()),
            Value::Int(port),
            Value::BulkString(b"id".to_vec()),
        ]);
        Value::Array(vec![Value::Int(first), Value::Int(last), node])
    }

    #[test]
    fn slots_as_the_specification_has_them() {
        // The specification's own example of the CRC, and `CLUSTER KEYSLOT foo`.
        assert_eq!(slot_of("123456789"), 0x31c3 % SLOTS);
        assert_eq!(slot_of("foo"), 12_182);
        assert_eq!(slot_of(""), 0);
    }

    #[test]
    fn nodes_are_told_apart_by_their_addresses() {
        let reply = Value::Array(vec![
            range(0, 99, "10.0.0.1", 1),
            range(100, 199, "", 2),
            range(200, 16_383, "10.0.0.1", 1),
        ]);
        let (slots, addresses) = SlotMap::read(&reply, "seed").unwrap();
        assert_eq!(addresses, ["redis://10.0.0.1:1", "redis://seed:2"]);
        let nodes: Vec<usize> = [0, 99, 100, 199, 200, 16_383]
            .into_iter()
            .map(|slot| slots.node_of(slot))
            .collect();
        assert_eq!(nodes, [0, 0, 1, 1, 0, 0]);
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for reply in [
            Value::Nil,
            Value::Array(Vec::new()),
            Value::Array(vec![Value::Array(vec![Value::Int(1)])]),
            Value::Array(vec![range(0, 70_000, "h", 1)]),
        ] {
            assert_eq!(SlotMap::read(&reply, "h"), None, "{reply:?}");
        }
    }
}
