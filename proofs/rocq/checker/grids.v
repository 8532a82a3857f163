(******************************************************************************)
(*      Grids: what numbers can be, that a network makes                      *)
(*                                                                            *)
(* A grid is a unit 2^power / divisor and a number of bits; a rational number *)
(* is on it if it is so many units.  Sums and products of numbers on grids    *)
(* are on grids, so that every coefficient of an affine form is on one.       *)
(*                                                                            *)
(*   on g q == q is t 2^gpower / gbelow with |t| <= 2^bits                    *)
(*   grid_of, numbers_grid == a grid of some numbers                          *)
(*   summary_of l == grids of the numbers of a layer, how many are summed     *)
(*   coef j f == coefficient j of the form f, the constant being coefficient 0*)
(*   covers g f == all of them are on g                                       *)
(******************************************************************************)
Require Import List ZArith QArith Qpower Bool Lia.
From AlgebraicCNN.checker Require Import evaluator rational.
Import ListNotations.
Open Scope Z_scope.

Record grid := Grid { bits : Z; gpower : Z; gbelow : positive }.
Definition on (g : grid) (q : Q) : Prop :=
  0 <= bits g /\ exists t, Z.abs t <= 2 ^ bits g /\ (q == fraction t (gpower g) (gbelow g))%Q.
Definition size (c : Z) : Z := Z.log2_up (Z.abs c).
Definition gone : grid := Grid 0 0 1.
Definition gmul (g h : grid) : grid := Grid (bits g + bits h) (gpower g + gpower h) (gbelow g * gbelow h).
Definition gcommon (g h : grid) : grid :=
  let e := Z.min (gpower g) (gpower h) in
  if (gbelow g =? gbelow h)%positive
  then Grid (Z.max (gpower g - e + bits g) (gpower h - e + bits h)) e (gbelow g)
  else Grid (Z.max (gpower g - e + size (Zpos (gbelow h)) + bits g) (gpower h - e + size (Zpos (gbelow g)) + bits h))
            e (gbelow g * gbelow h).
Definition longer (n : Z) (g : grid) : grid := Grid (Z.log2_up n + bits g) (gpower g) (gbelow g).
Definition gadd (g h : grid) : grid := longer 2 (gcommon g h).

(* of some numbers: the largest mantissa, the exponents between which they are, a common multiple of the divisors *)
Record range := Range { largest : Z; lowest : Z; highest : Z; under : positive }.
Definition widen (o : option range) (k : number) : option range :=
  if mantissa k =? 0 then o else
  match o with
  | None => Some (Range (Z.abs (mantissa k)) (exponent k) (exponent k) (divisor k))
  | Some r => Some (Range (Z.max (largest r) (Z.abs (mantissa k))) (Z.min (lowest r) (exponent k))
      (Z.max (highest r) (exponent k)) (if (under r =? divisor k)%positive then under r else under r * divisor k)%positive)
  end.
Definition widen_row (o : option range) (ks : list number) : option range := fold_left widen ks o.
Definition grid_of (o : option range) : grid :=
  match o with
  | None => gone
  | Some r => Grid (highest r - lowest r + size (Zpos (under r)) + size (largest r)) (lowest r) (under r)
  end.
Definition numbers_grid (ks : list number) : grid := grid_of (fold_left widen ks None).

Record summary := Summary { sfeeds : list (nat * grid); skernel : grid; sterms : nat; sbias : grid }.
Definition summarise (from : list (nat * number)) (ks : list (list number)) (bs : list number) : summary :=
  Summary (map (fun s => (fst s, numbers_grid [snd s])) from) (grid_of (fold_left widen_row ks None))
          (fold_left (fun n r => Nat.max n (length r)) ks 0%nat) (numbers_grid bs).
Definition summary_of (l : layer number) : summary := summarise (feeds l) (kernel l) (bias l).

Open Scope Q_scope.
Lemma size_nonneg c : (0 <= size c)%Z. Proof. apply Z.log2_up_nonneg. Qed.
Lemma le_log2_up n : (n <= 2 ^ Z.log2_up n)%Z.
Proof.
destruct (Z_le_gt_dec n 0) as [L|G]; [|apply Z.log2_log2_up_spec; lia].
assert (0 < 2 ^ Z.log2_up n)%Z by (apply Z.pow_pos_nonneg; [reflexivity|apply Z.log2_up_nonneg]). lia.
Qed.
Lemma sizeP c : (Z.abs c <= 2 ^ size c)%Z. Proof. apply le_log2_up. Qed.
Lemma pow_up a b : (a <= b)%Z -> (2 ^ a <= 2 ^ b)%Z. Proof. intro. apply Z.pow_le_mono_r; lia. Qed.

Lemma fraction_scale t e d a c : (0 <= a)%Z -> fraction (t * (2 ^ a * Zpos c)) (e - a) (d * c) == fraction t e d.
Proof.
intro A. unfold fraction. rewrite !inject_Z_mult, Pos2Z.inj_mul, inject_Z_mult, power_two by exact A.
setoid_replace ((2 # 1) ^ e) with ((2 # 1) ^ a * (2 # 1) ^ (e - a)).
- field. split; apply pos_nonzero.
- rewrite <- Qpower_plus by exact two_nonzero. now replace (a + (e - a))%Z with e by lia.
Qed.
Lemma fraction_add t u e d : fraction (t + u) e d == fraction t e d + fraction u e d.
Proof. unfold fraction. rewrite inject_Z_plus. field. apply pos_nonzero. Qed.
Lemma fraction_mul t e d t' e' d' : fraction (t * t') (e + e') (d * d') == fraction t e d * fraction t' e' d'.
Proof.
unfold fraction. rewrite inject_Z_mult, Pos2Z.inj_mul, inject_Z_mult, Qpower_plus by exact two_nonzero.
field. split; apply pos_nonzero.
Qed.
Lemma fraction_zero e d : fraction 0 e d == 0.
Proof. unfold fraction. change (inject_Z 0) with 0. field. apply pos_nonzero. Qed.
Lemma fraction_opp t e d : fraction (- t) e d == - fraction t e d.
Proof. unfold fraction. rewrite inject_Z_opp. field. apply pos_nonzero. Qed.

Lemma on_wd g q q' : q == q' -> on g q -> on g q'.
Proof. intros E (B & t & T & Q). split; [exact B|exists t]. now rewrite <- E. Qed.
Lemma on_zero g : (0 <= bits g)%Z -> on g 0.
Proof.
intro B. split; [exact B|exists 0%Z]. split; [|now rewrite fraction_zero].
simpl. apply Z.pow_nonneg. lia.
Qed.
Lemma on_opp g q : on g q -> on g (- q).
Proof. intros (B & t & T & Q). split; [exact B|exists (- t)%Z]. now rewrite Z.abs_opp, fraction_opp, Q. Qed.
Lemma on_mul g q h r : on g q -> on h r -> on (gmul g h) (q * r).
Proof.
intros (B & t & T & Q) (C & u & U & R). split; [simpl; lia|]. exists (t * u)%Z. cbn [bits gpower gbelow gmul]. split.
- rewrite Z.abs_mul, Z.pow_add_r by assumption. apply Z.mul_le_mono_nonneg; lia.
- now rewrite fraction_mul, Q, R.
Qed.
(* to a finer unit *)
Lemma on_finer g q e c b : on g q -> (e <= gpower g)%Z -> (gpower g - e + size (Zpos c) + bits g <= b)%Z ->
  on (Grid b e (gbelow g * c)) q.
Proof.
intros (B & t & T & Q) E L. assert (S := size_nonneg (Zpos c)). split; [simpl; lia|].
exists (t * (2 ^ (gpower g - e) * Zpos c))%Z. cbn [bits gpower gbelow]. split.
- apply Z.le_trans with (2 := pow_up _ _ L). assert (C := sizeP (Zpos c)).
  assert (0 < 2 ^ (gpower g - e))%Z by (apply Z.pow_pos_nonneg; lia).
  replace (gpower g - e + size (Zpos c) + bits g)%Z with (bits g + ((gpower g - e) + size (Zpos c)))%Z by lia.
  rewrite !Z.pow_add_r, !Z.abs_mul by lia. apply Z.mul_le_mono_nonneg; [lia|exact T|lia|].
  apply Z.mul_le_mono_nonneg; lia.
- replace e with (gpower g - (gpower g - e))%Z by lia.
  replace (gpower g - (gpower g - (gpower g - e)))%Z with (gpower g - e)%Z by lia.
  rewrite fraction_scale by lia. exact Q.
Qed.
Lemma on_common_l g h q : on g q -> on (gcommon g h) q.
Proof.
intro H. unfold gcommon. destruct (Pos.eqb_spec (gbelow g) (gbelow h)) as [E|_].
- rewrite <- (Pos.mul_1_r (gbelow g)). apply on_finer; [exact H|lia|]. change (size 1) with 0%Z. lia.
- apply on_finer; [exact H|lia|lia].
Qed.
Lemma on_common_r g h q : on h q -> on (gcommon g h) q.
Proof.
intro H. unfold gcommon. destruct (Pos.eqb_spec (gbelow g) (gbelow h)) as [E|_].
- rewrite E, <- (Pos.mul_1_r (gbelow h)). apply on_finer; [exact H|lia|]. change (size 1) with 0%Z. lia.
- rewrite Pos.mul_comm. apply on_finer; [exact H|lia|lia].
Qed.
(* a sum of n numbers *)
Definition sum_on (n : Z) (g : grid) (q : Q) : Prop :=
  (0 <= bits g)%Z /\ exists t, (Z.abs t <= n * 2 ^ bits g)%Z /\ q == fraction t (gpower g) (gbelow g).
Lemma sum_on_zero g : (0 <= bits g)%Z -> sum_on 0 g 0.
Proof. intro B. split; [exact B|exists 0%Z]. split; [simpl; lia|now rewrite fraction_zero]. Qed.
Lemma sum_on_add n g q r : sum_on n g q -> on g r -> sum_on (n + 1) g (r + q).
Proof.
intros (B & t & T & Q) (_ & u & U & R). split; [exact B|exists (u + t)%Z]. split; [lia|]. now rewrite fraction_add, Q, R.
Qed.
Lemma sum_on_longer n m g q : (n <= m)%Z -> sum_on n g q -> on (longer m g) q.
Proof.
intros L (B & t & T & Q). assert (N := Z.log2_up_nonneg m). split; [simpl; lia|exists t]. split; [|exact Q].
cbn [bits longer]. rewrite Z.pow_add_r by assumption. apply Z.le_trans with (1 := T).
assert (M := le_log2_up m). apply Z.mul_le_mono_nonneg_r; [apply Z.pow_nonneg|]; lia.
Qed.
Lemma on_add g q h r : on g q -> on h r -> on (gadd g h) (q + r).
Proof.
intros Q R. apply (on_common_l g h) in Q. apply (on_common_r g h) in R. apply (sum_on_longer 2 2); [lia|].
change 2%Z with (0 + 1 + 1)%Z. apply sum_on_add; [|exact Q].
apply on_wd with (q' := r + 0) in R; [|ring]. destruct R as (B & t & T & R). split; [exact B|exists t].
split; [lia|]. now rewrite <- R, Qplus_0_r.
Qed.

(* numbers *)
Definition within_range (r : range) (k : number) : Prop :=
  mantissa k = 0%Z \/ (Z.abs (mantissa k) <= largest r)%Z /\ (lowest r <= exponent k <= highest r)%Z
  /\ exists c, under r = (divisor k * c)%positive.
Definition in_range (o : option range) (k : number) : Prop :=
  match o with None => mantissa k = 0%Z | Some r => within_range r k end.
Lemma widen_in o k : in_range (widen o k) k.
Proof.
unfold widen. destruct (Z.eqb_spec (mantissa k) 0) as [E|N]; [destruct o; [now left|exact E]|].
destruct o as [r|]; right; cbn [largest lowest highest under].
- split; [lia|split; [lia|]]. destruct (Pos.eqb_spec (under r) (divisor k)) as [->|_].
  + exists 1%positive. lia.
  + exists (under r). lia.
- split; [lia|split; [lia|]]. exists 1%positive. lia.
Qed.
Lemma widen_keeps o k k' : in_range o k' -> in_range (widen o k) k'.
Proof.
unfold widen. destruct (Z.eqb_spec (mantissa k) 0) as [_|_]; [auto|].
destruct o as [r|]; [|intro E; now left].
intros [E|(A & B & c & C)]; [now left|right]. cbn [largest lowest highest under]. split; [lia|split; [lia|]].
destruct (Pos.eqb_spec (under r) (divisor k)) as [_|_].
- now exists c.
- exists (c * divisor k)%positive. rewrite C. lia.
Qed.
Definition proper (o : option range) : Prop := match o with None => True | Some r => (lowest r <= highest r)%Z end.
Lemma widen_proper o k : proper o -> proper (widen o k).
Proof.
unfold widen. destruct (mantissa k =? 0)%Z; [auto|]. destruct o as [r|]; cbn [proper lowest highest]; [lia|intros _; apply Z.le_refl].
Qed.
Lemma widen_all ks : forall o, proper o -> proper (fold_left widen ks o) /\
  (forall k, in_range o k \/ In k ks -> in_range (fold_left widen ks o) k).
Proof.
induction ks as [|k ks IH]; intros o P; cbn [fold_left].
- split; [exact P|]. intros k [H|[]]. exact H.
- destruct (IH (widen o k) (widen_proper o k P)) as [P' H]. split; [exact P'|]. intros k' [I|[->|I]]; apply H.
  + left. now apply widen_keeps.
  + left. apply widen_in.
  + now right.
Qed.
Lemma grid_bits o : proper o -> (0 <= bits (grid_of o))%Z.
Proof.
destruct o as [r|]; cbn [proper grid_of bits gone]; [|lia].
assert (a := size_nonneg (largest r)). assert (b := size_nonneg (Zpos (under r))). lia.
Qed.
Lemma on_range o k : proper o -> in_range o k -> on (grid_of o) (rational k).
Proof.
intros P H. assert (B := grid_bits o P).
assert (Z : mantissa k = 0%Z -> on (grid_of o) (rational k)).
{ intro E. apply on_wd with (q := 0); [|now apply on_zero]. unfold rational. now rewrite E, fraction_zero. }
destruct o as [r|]; [|exact (Z H)]. destruct H as [E|(A & L & c & C)]; [exact (Z E)|].
cbn [grid_of]. rewrite C at 2. assert (S : (Z.abs (mantissa k) <= 2 ^ size (largest r))%Z).
{ apply Z.le_trans with (1 := A). apply Z.le_trans with (2 := sizeP (largest r)). lia. }
apply (on_finer (Grid (size (largest r)) (exponent k) (divisor k))); cbn [bits gpower gbelow].
- split; [apply size_nonneg|]. now exists (mantissa k).
- lia.
- assert (size (Zpos c) <= size (Zpos (under r)))%Z.
  { unfold size. apply Z.log2_up_le_mono. rewrite C. apply Pos2Z.pos_le_pos.
    rewrite <- (Pos.mul_1_l c) at 1. apply Pos.mul_le_mono_r, Pos.le_1_l. }
  lia.
Qed.
Lemma numbers_on ks k : In k ks -> on (numbers_grid ks) (rational k).
Proof.
intro I. destruct (widen_all ks None Logic.I) as [P H]. apply on_range; [exact P|]. apply H. now right.
Qed.
Lemma numbers_bits ks : (0 <= bits (numbers_grid ks))%Z.
Proof. apply grid_bits. exact (proj1 (widen_all ks None Logic.I)). Qed.
Lemma kernel_on : forall ks o, proper o -> proper (fold_left widen_row ks o) /\
  (forall k, in_range o k \/ (exists r, In r ks /\ In k r) -> in_range (fold_left widen_row ks o) k).
Proof.
induction ks as [|r ks IH]; intros o P; cbn [fold_left].
- split; [exact P|]. intros k [H|(r & [] & _)]. exact H.
- destruct (widen_all r o P) as [P' H']. destruct (IH _ P') as [P'' H'']. split; [exact P''|].
  intros k [I|(r' & [->|I] & J)]; apply H''.
  + left. apply H'. now left.
  + left. apply H'. now right.
  + right. now exists r'.
Qed.
Lemma terms_all : forall (ks : list (list number)) n, (n <= fold_left (fun n r => Nat.max n (length r)) ks n)%nat /\
  Forall (fun r => length r <= fold_left (fun n r => Nat.max n (length r)) ks n)%nat ks.
Proof.
induction ks as [|r ks IH]; intro n; cbn [fold_left]; [split; [lia|constructor]|].
destruct (IH (Nat.max n (length r))) as [L F]. split; [lia|]. constructor; [lia|exact F].
Qed.

(* forms *)
Definition coef (j : nat) (f : form) : Q := fraction (nth j (terms f) 0%Z) (power f) (below f).
Definition covers (g : grid) (f : form) : Prop := forall j, on g (coef j f).
Lemma nth_times c l j : nth j (times c l) 0%Z = (c * nth j l 0)%Z.
Proof.
unfold times. destruct (Z.eqb_spec c 1) as [->|_]; [lia|].
rewrite <- (Z.mul_0_r c) at 1. apply (map_nth (Z.mul c)).
Qed.
Lemma nth_ladd : forall a b j, nth j (ladd a b) 0%Z = (nth j a 0 + nth j b 0)%Z.
Proof.
induction a as [|x a IH]; intros [|y b] [|j]; cbn [ladd nth]; try lia. apply IH.
Qed.
Lemma coef_common j f g :
  coef j f == fraction (fst (common f g) * nth j (terms f) 0%Z) (Z.min (power f) (power g)) (below (fadd f g)) /\
  coef j g == fraction (snd (common f g) * nth j (terms g) 0%Z) (Z.min (power f) (power g)) (below (fadd f g)).
Proof.
set (e := Z.min (power f) (power g)). unfold coef, common, fadd. cbn [below].
assert (A : (0 <= power f - e)%Z) by (unfold e; lia). assert (B : (0 <= power g - e)%Z) by (unfold e; lia).
assert (E : forall h d, (0 <= power h - e)%Z -> fraction (2 ^ (power h - e) * Zpos d * nth j (terms h) 0%Z) e (below h * d) == coef j h).
{ intros h d H. unfold coef. rewrite <- (fraction_scale _ (power h) _ (power h - e) d) by exact H.
  replace (power h - (power h - e))%Z with e by lia. now rewrite (Z.mul_comm (nth j (terms h) 0%Z)). }
destruct (Pos.eqb_spec (below f) (below g)) as [D|_]; cbn [fst snd]; fold e.
- assert (F := E f 1%positive A). assert (G := E g 1%positive B). rewrite Z.mul_1_r, Pos.mul_1_r in F, G.
  split; [now rewrite F|]. rewrite D. now rewrite G.
- assert (F := E f (below g) A). assert (G := E g (below f) B). split; [now rewrite F|].
  rewrite (Pos.mul_comm (below f)). now rewrite G.
Qed.
Lemma coef_add j f g : coef j (fadd f g) == coef j f + coef j g.
Proof.
destruct (coef_common j f g) as [F G]. rewrite F, G, <- fraction_add.
unfold coef at 1, fadd at 1 2. cbn [terms power]. now rewrite nth_ladd, !nth_times.
Qed.
Lemma coef_scale j k f : coef j (fscale k f) == rational k * coef j f.
Proof.
unfold coef, rational, fscale. cbn [terms power below]. now rewrite nth_times, fraction_mul.
Qed.
Lemma covers_nothing g : (0 <= bits g)%Z -> covers g nothing.
Proof.
intros B j. apply on_wd with (q := 0); [|now apply on_zero]. unfold coef, nothing. cbn [terms].
destruct j; cbn [nth]; now rewrite fraction_zero.
Qed.
Lemma covers_add g f h f' : covers g f -> covers h f' -> covers (gadd g h) (fadd f f').
Proof. intros F G j. apply on_wd with (q := coef j f + coef j f'); [now rewrite coef_add|now apply on_add]. Qed.
Lemma covers_scale g k h f : on g (rational k) -> covers h f -> covers (gmul g h) (fscale k f).
Proof. intros K F j. apply on_wd with (q := rational k * coef j f); [now rewrite coef_scale|now apply on_mul]. Qed.
Lemma covers_bit f : power f = 0%Z -> below f = 1%positive -> (forall j, 0 <= nth j (terms f) 0 <= 1)%Z -> covers gone f.
Proof.
intros P B H j. split; [simpl; lia|]. exists (nth j (terms f) 0%Z). specialize (H j). split; [simpl; lia|].
unfold coef. now rewrite P, B.
Qed.
