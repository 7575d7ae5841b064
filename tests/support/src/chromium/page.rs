//! One page: what it shows, what it asked for, and what went wrong on it.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::devtools::{DevTools, Event};
use crate::{SupportError, poll_until};

const LOAD_DEADLINE: Duration = Duration::from_mins(1);

/// An open page. Errors and requests are collected from its first byte on.
#[derive(Debug)]
pub struct Page<'browser> {
    devtools: &'browser mut DevTools,
    session: String,
    problems: Vec<String>,
    requests: Vec<String>,
}

impl<'browser> Page<'browser> {
    pub(super) fn open(devtools: &'browser mut DevTools, url: &str) -> Result<Self, SupportError> {
        let target = devtools.call(None, "Target.createTarget", &json!({"url": "about:blank"}))?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = devtools.call(None, "Target.attachToTarget", &attach)?;
        let session = attached["sessionId"].as_str().unwrap_or_default().to_owned();
        let mut page = Self { devtools, session, problems: Vec::new(), requests: Vec::new() };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            page.call(&format!("{domain}.enable"), &json!({}))?;
        }
        let answer = page.call("Page.navigate", &json!({"url": url}))?;
        if let Some(text) = answer["errorText"].as_str() {
            return Err(SupportError::Browser(format!("cannot open {url}: {text}")));
        }
        page.wait_for("document.readyState === 'complete'", LOAD_DEADLINE)?;
        Ok(page)
    }

    /// Evaluates a JavaScript expression; a promise is awaited.
    ///
    /// # Errors
    /// When the expression throws.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value, SupportError> {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.call("Runtime.evaluate", &params)?;
        let thrown = &answer["exceptionDetails"];
        if thrown.is_object() {
            return Err(SupportError::Browser(format!("{expression}: {}", describe(thrown))));
        }
        Ok(answer["result"]["value"].take())
    }

    /// Waits until a JavaScript expression is true.
    ///
    /// # Errors
    /// When it is not by the `deadline`, or throws.
    pub fn wait_for(&mut self, expression: &str, deadline: Duration) -> Result<(), SupportError> {
        poll_until(deadline, expression, || {
            Ok((self.evaluate(expression)? == Value::Bool(true)).then_some(()))
        })
    }

    /// The text that a reader sees.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn text(&mut self) -> Result<String, SupportError> {
        Ok(self.evaluate("document.body.innerText")?.as_str().unwrap_or_default().to_owned())
    }

    /// The document as it stands now, scripts having run.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn dump_dom(&mut self) -> Result<String, SupportError> {
        let html = self.evaluate("document.documentElement.outerHTML")?;
        Ok(html.as_str().unwrap_or_default().to_owned())
    }

    /// Gives the page the size of a screen, in CSS pixels.
    ///
    /// # Errors
    /// When the browser does not answer.
    pub fn resize(&mut self, width: u32, height: u32) -> Result<(), SupportError> {
        // Below this width it is a phone.
        let mobile = width < 600;
        let screen =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile});
        self.call("Emulation.setDeviceMetricsOverride", &screen).map(drop)
    }

    /// Writes a picture of the visible part as PNG.
    ///
    /// # Errors
    /// When the browser does not answer or the file cannot be written.
    pub fn screenshot(&mut self, path: &Path) -> Result<(), SupportError> {
        let answer = self.call("Page.captureScreenshot", &json!({"format": "png"}))?;
        let png = STANDARD
            .decode(answer["data"].as_str().unwrap_or_default())
            .map_err(|error| SupportError::Browser(format!("screenshot: {error}")))?;
        std::fs::write(path, png).map_err(SupportError::io(format!("write {}", path.display())))
    }

    /// What went wrong so far: errors on the console, uncaught exceptions, failed requests.
    pub fn problems(&mut self) -> &[String] {
        self.collect();
        &self.problems
    }

    /// The addresses that the page asked for so far.
    pub fn requests(&mut self) -> &[String] {
        self.collect();
        &self.requests
    }

    fn call(&mut self, method: &str, params: &Value) -> Result<Value, SupportError> {
        self.devtools.call(Some(&self.session), method, params)
    }

    fn collect(&mut self) {
        for Event { method, params } in self.devtools.take_events() {
            match method.as_str() {
                "Network.requestWillBeSent" => {
                    self.requests.extend(params["request"]["url"].as_str().map(str::to_owned));
                }
                "Runtime.consoleAPICalled" if params["type"] == "error" => {
                    self.problems.push(format!("console: {}", arguments(&params["args"])));
                }
                "Runtime.exceptionThrown" => {
                    self.problems
                        .push(format!("uncaught: {}", describe(&params["exceptionDetails"])));
                }
                "Log.entryAdded" if params["entry"]["level"] == "error" => {
                    let entry = &params["entry"];
                    self.problems.push(format!("log: {} {}", entry["text"], entry["url"]));
                }
                "Network.loadingFailed" if params["canceled"] != true => {
                    self.problems.push(format!("request: {}", params["errorText"]));
                }
                _ => {}
            }
        }
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        // A browser that is gone has closed its pages.
        drop(self.devtools.call(Some(&self.session), "Page.close", &json!({})));
        self.devtools.take_events();
    }
}

/// The text of an exception.
fn describe(details: &Value) -> String {
    let thrown = &details["exception"];
    thrown["description"].as_str().map_or_else(|| details["text"].to_string(), str::to_owned)
}

/// The arguments of a console call, as text.
fn arguments(arguments: &Value) -> String {
    let texts = arguments.as_array().into_iter().flatten().map(|argument| {
        // Objects and numbers have a description, texts a value.
        let text = argument["description"].as_str().or_else(|| argument["value"].as_str());
        text.map_or_else(|| argument["value"].to_string(), str::to_owned)
    });
    texts.collect::<Vec<_>>().join(" ")
}
