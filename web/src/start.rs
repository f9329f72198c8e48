//! Setup of an instance.

use std::future::Future;
use std::panic::PanicHookInfo;
use std::pin::Pin;

use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    type MessageChannel;
    #[wasm_bindgen(constructor)]
    fn new() -> MessageChannel;
    #[wasm_bindgen(method, getter)]
    fn port1(this: &MessageChannel) -> MessagePort;
    #[wasm_bindgen(method, getter)]
    fn port2(this: &MessageChannel) -> MessagePort;

    type MessagePort;
    #[wasm_bindgen(method, setter, js_name = onmessage)]
    fn set_onmessage(this: &MessagePort, handler: &Function);
    #[wasm_bindgen(method, js_name = postMessage)]
    fn post_message(this: &MessagePort, message: &JsValue);
    #[wasm_bindgen(method)]
    fn close(this: &MessagePort);

    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn milliseconds() -> f64;

    #[wasm_bindgen(js_namespace = console)]
    fn error(message: &str);
}

/// Waits for a separate task. Pending events are handled before it, unlike before a promise, and it is faster than a
/// timer.
fn pause() -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async {
        let channel = MessageChannel::new();
        let told = Promise::new(&mut |resolve, _| {
            channel.port1().set_onmessage(&resolve);
            channel.port2().post_message(&JsValue::NULL);
        });
        // This cannot fail.
        let _ = JsFuture::from(told).await;
        channel.port1().close();
    })
}

/// Seconds since the instance was started.
pub fn clock() -> f64 {
    milliseconds() / 1e3
}

/// Throws a panic's message: the instance can no longer be used, and the message must not be lost. In asynchronous
/// work, it becomes an uncaught error of the worker.
fn panicked(info: &PanicHookInfo<'_>) {
    let message = info.to_string();
    error(&message);
    let thrown = js_sys::Error::new(&message);
    thrown.set_name("PanicError");
    wasm_bindgen::throw_val(thrown.into());
}

// SAFETY: the linker makes this function with this signature.
unsafe extern "C" {
    /// Runs the static constructors of all crates: burn's runtime has thousands of them.
    safe fn __wasm_call_ctors();
}

#[wasm_bindgen(start)]
fn start() {
    // Without this call, the linker calls the function at the start of every export, also of those with which wasm-bindgen
    // stores each JavaScript object: that took nearly all of the time of a launch.
    __wasm_call_ctors();
    std::panic::set_hook(Box::new(panicked));
    lorb::model::set_pause(pause);
    lorb::ops::wgsl::set_clock(clock);
}
