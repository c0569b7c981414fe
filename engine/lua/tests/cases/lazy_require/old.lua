return { late = function() return require "late" end }
