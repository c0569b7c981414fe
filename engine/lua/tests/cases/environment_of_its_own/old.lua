local print, setmetatable, G = print, setmetatable, _G
local _ENV = setmetatable({}, { __index = G })
count = 0
function step() count = count + 1 return "old", count end
return _ENV
