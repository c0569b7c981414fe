-- What drivers of cases use. A driver is a coroutine; it yields where the engine acts, so
-- that the reload happens while no Lua code runs.
local case = ...
local yield = coroutine.yield
local drive = {}

-- Loads a module, `m` if none is named.
function drive.load_module(name) return yield("load", name or "m") end

-- Reloads modules with their new sources (all that have one) and returns the report as lines.
function drive.reload(...) return yield("reload", ...) end

-- As `reload`, for one that must fail; returns the error.
function drive.reload_fails(...) return yield("reload_fails", ...) end

-- As `reload_fails`, where listeners may change something when they hear of the failure.
function drive.reload_heard(...) return yield("reload_heard", ...) end

-- Collects garbage and returns the versions that are left, as `m 1: function M.f, m 2: ...`.
function drive.draining() return yield("draining") end

-- Has the engine hold a function; calls what it holds.
function drive.hold(callback) return yield("hold", callback) end
function drive.call_held(id, ...) return yield("call_held", id, ...) end

local function show(value)
    if type(value) == "string" then return string.format("%q", value) end
    if type(value) == "number" then return math.type(value) .. " " .. tostring(value) end
    return tostring(value)
end

function drive.expect(actual, expected, what)
    if not rawequal(actual, expected) or math.type(actual) ~= math.type(expected) then
        error((what or "value") .. " is " .. show(actual) .. ", not " .. show(expected), 2)
    end
end

-- A line of a report begins with this text.
function drive.expect_line(report, text)
    for line in report:gmatch("[^\n]+") do
        if line:sub(1, #text) == text then return end
    end
    error("no line begins with `" .. text .. "` in\n" .. report, 2)
end

function drive.expect_no_line(report, text)
    for line in report:gmatch("[^\n]+") do
        if line:find(text, 1, true) then error("there is a line: " .. line, 2) end
    end
end

-- Some text is in an error.
function drive.expect_text(actual, part)
    if not tostring(actual):find(part, 1, true) then
        error("`" .. part .. "` is not in: " .. tostring(actual), 2)
    end
end

return setmetatable(drive, { __index = _G, __newindex = _G })
