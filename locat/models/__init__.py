"""The paper's models, registered with timm: import this package, then `timm.create_model('locatvit_tiny')`.

Of the related work in Tab. 5, timm has `convit_base`, `twins_pcpvt_base`, `davit_base` and `gcvit_base`; here are
`cvt_21` and `conformer_base`.
"""

from locat.models import attached as attached
from locat.models import conformer as conformer
from locat.models import cvt as cvt
from locat.models import jumbo as jumbo
from locat.models import rope_vit as rope_vit
from locat.models import swin as swin
from locat.models import vit as vit
