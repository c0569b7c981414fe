-- Lists everything reachable from some roots, by identity. Shares no code with the reload:
-- it uses Lua's debug library, which scripts do not have.
local debug, roots = ...
local format, concat, sort = string.format, table.concat, table.sort
local type, next, rawget, tostring = type, next, rawget, tostring

local lines, seen, open = {}, {}, {}

local function name(value)
    local kind = type(value)
    if kind == "string" then return format("%q", value) end
    if kind == "number" then return math.type(value) .. " " .. format("%q", value) end
    if kind == "nil" or kind == "boolean" then return tostring(value) end
    if not seen[value] then
        seen[value] = true
        open[#open + 1] = value
    end
    return kind .. format("%p", value)
end

local function line(...)
    lines[#lines + 1] = concat({ ... }, " ")
end

for number, root in ipairs(roots) do line("root", number, name(root)) end

while #open > 0 do
    local object = table.remove(open)
    local self, kind = name(object), type(object)
    local meta = debug.getmetatable(object)
    line(self, "metatable", name(meta))
    if kind == "table" then
        for key, value in next, object do line(self, "[", name(key), "] =", name(value)) end
    elseif kind == "function" then
        local n = 1
        while true do
            local upvalue, value = debug.getupvalue(object, n)
            if not upvalue then break end
            local id = debug.getinfo(object, "S").what ~= "C" and debug.upvalueid(object, n) or nil
            line(self, "captures", upvalue, id and format("%p", id) or "-", name(value))
            n = n + 1
        end
    elseif kind == "userdata" then
        line(self, "holds", name((debug.getuservalue(object, 1))))
    elseif kind == "thread" and object ~= coroutine.running() then
        line(self, coroutine.status(object))
        local level = 0
        while true do
            local info = debug.getinfo(object, level, "f")
            if not info then break end
            line(self, "level", level, name(info.func))
            for _, step in ipairs { 1, -1 } do
                local n = step
                while true do
                    local variable, value = debug.getlocal(object, level, n)
                    if not variable then break end
                    line(self, "level", level, n, variable, name(value))
                    n = n + step
                end
            end
            level = level + 1
        end
    end
end
sort(lines)
return concat(lines, "\n")
