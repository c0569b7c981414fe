local list = {}
local B = {}
function B.on(callback) list[#list + 1] = callback end
function B.fire() local all = {} for i, f in ipairs(list) do all[i] = f() end return table.concat(all, ",") end
local f = require("m").f
function B.copied() return f() end
return B
