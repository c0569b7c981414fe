local Base = {}
Base.__index = Base
function Base.name() return "old base" end
function Base.kind() return "old kind" end
local Derived = {}
for k, v in pairs(Base) do Derived[k] = v end
Derived.__index = Derived
Derived.super = Base
Base.derived = Derived
function Derived.name() return "old derived" end
local M = { Base = Base, Derived = Derived }
function M.new() return setmetatable({}, Derived) end
return M
