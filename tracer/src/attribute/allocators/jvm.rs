//! The Java virtual machine (HotSpot): reserves what its limits allow, commits by overlay.

use super::{Allocator, PLAIN, Topic};
use crate::attribute::evidence::Evidence;

/// What it reserves for its heap and for classes is seldom smaller, if it is not yet in use.
const RESERVE: u64 = 512 << 20;

pub(super) static JVM: Allocator = Allocator {
    name: "jvm",
    title: "the Java virtual machine",
    libraries: &["libjvm.so*"],
    symbols: &["JNI_CreateJavaVM"],
    fits: |shape| !shape.writable && !shape.heap && shape.is_reservation_of(RESERVE),
    grows: "it reserves its heap up to -Xmx and a class space of 1 GiB, and makes them accessible \
            as they are used",
    keeps: "it keeps the reservation of its heap",
    variables: &["JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS"],
    experiment: "jcmd <pid> GC.run, then GC.heap_info: what the heap's use falls by was \
                 garbage",
    advice,
    ..PLAIN
};

fn advice(_: &Evidence<'_>, topic: Topic) -> String {
    match topic {
        Topic::Retained | Topic::OverMapped | Topic::Reserved => {
            "Usually nothing: reserved address space costs no memory. -Xmx and \
             -XX:CompressedClassSpaceSize reserve less; price: less room for the heap."
        }
        Topic::NotReleased | Topic::LazilyFreed => {
            "A heap minimum below its maximum (-Xms < -Xmx) with the G1 or Shenandoah \
             collector lets memory go back; the Parallel collector and AlwaysPreTouch do not. \
             Price: pauses to give back and to fault pages in again."
        }
    }
    .to_owned()
}
